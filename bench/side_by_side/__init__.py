"""The same requests to LangGraph's own server and to this one, and every difference between the answers."""
