"""Executing attempts: the pool child that drives an assistant, and the worker's main process that keeps its lease.

slots.py         what the two share without I/O: who executes what, and the order to stop
interruption.py  the child's side of an order: raised inside assistant code only
drivers.py       functions, coroutines and generators of both kinds, driven step by step
attempt.py       one attempt in a pool child, from claim to settlement
observer.py      the main process's memory-only half: exits, repeated orders, deadlines, grace
clerk.py         the main process's database half: hand-backs, kills, time-outs
keeper.py        the lease: one row renewed for the whole worker
exits.py         whose fault it was that a process has ended
loops/           many attempts in one process, for runs that mostly wait
replacement.py   a dead pool child is replaced at once
worker.py        how all this hangs on Celery's signals
control.py       the remote control commands, Celery's own revoke among them
"""
