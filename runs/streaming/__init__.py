"""The live stream of a run: written once by its executor, read by anybody, from any point, over any web process.

frames.py      a frame, its place in the stream, and what may follow what
log.py         the Redis stream: appending (fenced by Redis itself) and reading ranges
wakes.py       the frames that a wake carries, for readers who have everything before them
notify.py      after a commit: the end marker, and the wake that serves streams and waits
shutdown.py    a server that shuts down, heard beside its own handlers
hub.py         one subscription a web process, whatever the number of its readers
interest.py    whether anybody watches a run, over all web processes
reader.py      frames in order, once each, or an explicit gap
archive.py     what PostgreSQL keeps when the live stream has expired
sse.py         frames as server-sent events
"""
