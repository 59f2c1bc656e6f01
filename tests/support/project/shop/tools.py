"""What the agent beside imports relatively."""

PRICE = 3
