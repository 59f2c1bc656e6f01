"""What `make up` runs on one machine: embedded engines, the processes of Runyard, one supervisor.

up.py           the story of `make up`, from the lock on its directory to the last stopped process
home.py         that directory: its lock, its secrets, the `env` file that settings read
engines.py      PostgreSQL and Redis: embedded, or the ones that DATABASE_URL and REDIS_URL name
postgres.py     the embedded PostgreSQL           valkey.py   the embedded Redis-compatible server
prepare.py      migrations, the operator, the first API key
stack.py        which processes make up Runyard   supervisor.py   runs them, restarts them, stops them in order
running.py      a whole stack for a demo or a test
"""
