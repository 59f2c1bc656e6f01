"""What each item of a run's budget buys: words beside the numbers of budget.py."""

BY_PROCESS = {
    "web": "the key, admission under the thread's lock, the message, the wake, the answer",
    "worker, its children": "claim, steps, outcome: each locked, fenced and in the history; the live stream",
    "worker, main process": "takes the message, hands it over, acknowledges it; events for Flower",
    "postgres": "the statements below, three commits",
    "redis": "the commands below",
    "flower": "shows the workers",
    "scheduler": "sweeps, whether there are runs or not",
}
BY_COMMAND = {
    "LPUSH": "the message for a worker",
    "BRPOP": "a worker waits for it",
    "ZADD": "Celery's note of a message that is not acknowledged yet",
    "HSET": "the message itself, until it is acknowledged",
    "ZREM": "the message is acknowledged",
    "HDEL": "the message is acknowledged",
    "MULTI": "an acknowledgement is one step",
    "EXEC": "an acknowledgement is one step",
    "EVAL": "frames of the live stream, in order and of one attempt only",
    "XADD": "within EVAL: a frame",
    "PEXPIRE": "within EVAL: what is read no more goes after a day",
    "SUBSCRIBE": "a client that waits wants to be told",
    "UNSUBSCRIBE": "and no more",
    "PUBLISH": "wakes clients that wait and workers that are to stop; Celery's events for Flower",
    "XRANGE": "a stream is read",
    "XREAD": "a stream is read",
}
BY_TRAFFIC = {
    "to Redis": "the message, the frames, Celery's events",
    "from Redis": "the message, the wakes",
    "of Redis' memory, kept": "the live stream, until it expires",
    "bytes": "the rows of the run, its history, its steps and their indexes",
}
#: The first whose words are all in the statement.
BY_STATEMENT = (
    (("INSERT INTO checkpoint",), "what the graph has written, as LangGraph stores it"),
    (("FROM checkpoint",), "where a graph goes on, as LangGraph stores it"),
    (
        ("FROM runs_apikey", "FOR NO KEY UPDATE"),
        "admission: whether the key is still there, the thread, its lock, its queue",
    ),
    (("FROM runs_apikey",), "who asks: the key and its owner"),
    (("INSERT INTO runs_run ",), "the run, its history, the thread's status"),
    (("INSERT INTO runs_thread",), "admission: the thread, its lock, its queue"),
    (
        ("FOR NO KEY UPDATE", "FROM runs_worker"),
        "claim: the thread's lock, its queue, whether the worker lives, the run",
    ),
    (("FOR NO KEY UPDATE",), "the fence: the thread's lock, its queue, whether this attempt still counts"),
    (("leased = true",), "claim: the lease, the history"),
    (("leased = false",), "the end: steps, outcome, history, what follows"),
    (("INSERT INTO runs_checkpoint",), "steps, as the API shows them"),
    (("UPDATE runs_thread",), "the thread's head and status"),
    (("values, interrupts FROM runs_checkpoint",), "the answer: status and result"),
    (("COMMIT",), "promised: on the disk"),
    (("BEGIN",), "together or not at all"),
)


def statement_buys(sql: str) -> str:
    """In the words above; nothing for what nobody has thought of."""
    return next((words for parts, words in BY_STATEMENT if all(part in sql for part in parts)), "")
