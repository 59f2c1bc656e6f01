"""A text to try the assistants with."""

DOCUMENT = """
# Why the sea rises twice a day

The moon pulls on the water of the earth. The water nearest to it is pulled hardest and rises, and the tide comes in.
On the far side the pull is weakest, so the water there stays behind, and rises as well.

## Why the times change

The moon moves on while the earth turns beneath it. A harbour needs fifty minutes more each day to catch up with it.
So every high tide comes a little later than the one of the day before.

## What the sun does

The sun pulls too, but it is far away. When sun and moon stand in one line their pulls add up, and the tide is high.
When they stand at right angles they work against each other, and the tide is low.

## Why some bays have more

A bay has a rhythm of its own, as water in a bath does. Where that rhythm meets the rhythm of the moon, the water
swings higher with each push. In such a bay the tide can rise as high as a house.

## How harbours know

People wrote down the height of the water for many years. From such records the tide of every day can be computed in
advance. A storm can still add a metre that no table knows.

## What it costs

The tides rub along the floor of the sea, and the rubbing slows the earth. A day grows longer by the blink of an eye in
a lifetime. The moon takes what the earth loses, and moves away by the width of two fingers each year.
""".strip()
