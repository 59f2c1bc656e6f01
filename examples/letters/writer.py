"""A model that needs no account: it writes the same kind of answer to every letter, slowly enough to be watched."""

import os

from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, AnyMessage


async def write(messages: list[AnyMessage]) -> AIMessage:
    """Answer the first message, with regard to what was said about the drafts since."""
    subject, *wishes = [message.text for message in messages if message.type == "human"]
    text = f"Dear Sir or Madam, thank you for writing about {subject}."
    answer = " ".join([text, *(f"P.S. {wish}." for wish in wishes)])
    model = FakeListChatModel(responses=[answer], sleep=float(os.environ["SECONDS_PER_LETTER"]))
    return await model.ainvoke(messages)
