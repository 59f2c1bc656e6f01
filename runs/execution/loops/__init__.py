"""Executing many attempts in one process: a few loop processes under the worker's main process, for runs that wait.

pool.py      the Celery pool in the main process: which process gets a run, and what becomes of its message
child.py     one loop process as the main process sees it
process.py   the loop process: takes runs, heeds orders, ends
loop.py      its event loop: whatever an attempt starts is known to be the attempt's
attempt.py   one attempt from claim to settlement, beside hundreds of others
guard.py     an order to stop on its way into the attempt
owner.py     what an attempt has started: tasks, generators, jobs, threads; and whether it has left
database.py  the few threads that talk to the database
graphs.py    graphs, on the same loop
watchdog.py  says which assistant holds a loop that does not turn
"""
