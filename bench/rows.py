"""The statements that make a history: every row follows from the number of its run, so two fillings are the same.

A run is accepted, waits a moment, executes in one attempt or in several that a shutdown has handed back, and ends
before its thread's next run is accepted. Half of the latest runs are in flight, on threads of their own.
"""

#: Numbers from 0 to 1 that look random; `salt` keeps the decisions about one run apart.
FUNCTIONS = """
CREATE OR REPLACE FUNCTION pg_temp.chance(n bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT (hashint8extended(n, salt) & 2147483647) / 2147483648.0 $$;

-- Ids that sort by time, as the application's do: UUIDv7, and UUIDv6 for checkpoints.
CREATE OR REPLACE FUNCTION pg_temp.uuid7(at timestamptz, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3)
           || '8' || substr(md5(n::text), 4, 15))::uuid $$;

CREATE OR REPLACE FUNCTION pg_temp.uuid6(at timestamptz, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT (substr(ticks, 1, 12) || '6' || substr(ticks, 13, 3) || '8' || substr(md5(n::text), 4, 15))::uuid
   FROM lpad(to_hex((extract(epoch FROM at) * 10000000)::bigint + 122192928000000000), 15, '0') ticks $$;

CREATE OR REPLACE FUNCTION pg_temp.worker(host bigint, day bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT md5(format('worker %s of day %s', host, day))::uuid $$;
"""

#: One row for each run: where it belongs, when what happens to it, and how it ends.
PLAN = """
CREATE TEMPORARY TABLE plan ON COMMIT PRESERVE ROWS AS
WITH numbered AS (
    SELECT n, n > %(runs)s - 2 * %(in_flight)s AND n %% 2 = 0 AS is_new,
           %(now)s - %(span)s * (1 - n::float8 / %(runs)s) AS created
    FROM generate_series(1, %(runs)s) n
), placed AS (
    SELECT *, CASE WHEN is_new THEN %(threads)s + n / 2 %% %(busy)s
                   ELSE floor(%(threads)s * pg_temp.chance(n, 1) ^ 2) END::bigint AS thread,
           floor(%(attempts)s + pg_temp.chance(n, 3))::int AS attempts,
           pg_temp.chance(n, 2) AS fate
    FROM numbered
), timed AS (
    SELECT *, row_number() OVER own AS place,
           lead(created, 1, %(now)s + interval '1 second') OVER own - created AS gap,
           interval '1 second' * (0.02 + 3 * pg_temp.chance(n, 4) ^ 6) AS wait,
           interval '1 second' * exp(2 + 2 * (pg_temp.chance(n, 5) + pg_temp.chance(n, 6) + pg_temp.chance(n, 7) - 1.5))
               AS takes
    FROM placed WINDOW own AS (PARTITION BY thread ORDER BY n)
), fated AS (
    SELECT *, CASE
        WHEN is_new AND place = 1 AND thread - %(threads)s < %(running)s THEN 'running'
        WHEN is_new AND place = 1 AND thread - %(threads)s < %(running)s + %(stopping)s THEN 'stopping'
        WHEN is_new THEN 'pending'
        WHEN fate < 0.90 THEN 'success'
        WHEN fate < 0.945 THEN 'error'
        WHEN fate < 0.955 THEN 'timeout'
        WHEN fate < 0.98 THEN 'stopped'
        ELSE 'unwanted' END AS ending,
        created + least(wait, gap * 0.2) AS started, least(takes, gap * 0.6) AS duration
    FROM timed
)
SELECT n, thread, place, ending, created, started, duration,
       started + duration AS finished, started + duration + least(interval '0.1 second', gap * 0.1) AS settled,
       CASE ending WHEN 'pending' THEN 0 WHEN 'running' THEN 1 WHEN 'stopping' THEN 1
                   WHEN 'unwanted' THEN attempts - 1 ELSE attempts END AS attempts,
       pg_temp.uuid7(created, n) AS run_id, pg_temp.uuid6(started + duration, n) AS checkpoint_id,
       pg_temp.worker((n %% %(hosts)s),
                      CASE WHEN is_new THEN %(days)s - 1
                           ELSE least(%(days)s - 1, floor(%(days)s * (n - 1)::float8 / %(runs)s)) END::bigint) AS worker_id,
       count(*) FILTER (WHERE ending = 'success') OVER own AS steps,
       max(n) FILTER (WHERE ending = 'success') OVER before AS base_n
FROM fated
WINDOW own AS (PARTITION BY thread ORDER BY n),
       before AS (PARTITION BY thread ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
"""

PLAN_INDEXES = """
CREATE UNIQUE INDEX ON plan (n);
ANALYZE plan;
CREATE TEMPORARY TABLE plan_threads ON COMMIT PRESERVE ROWS AS
SELECT thread, min(created) AS begun, pg_temp.uuid7(min(created), -thread - 1) AS thread_id,
       (%(first_owner)s + floor(%(owners)s * pg_temp.chance(thread, 8) ^ 2))::int AS owner_id,
       max(n) FILTER (WHERE ending = 'success') AS head_n,
       max(n) FILTER (WHERE ending NOT IN ('pending', 'running')) AS last_n,
       bool_or(ending IN ('pending', 'running')) AS is_busy
FROM plan GROUP BY thread;
CREATE UNIQUE INDEX ON plan_threads (thread);
ANALYZE plan_threads;
"""

WORKERS = """
INSERT INTO runs_worker (id, host, version, capacity, started_at, expires_at, buried_at)
SELECT pg_temp.worker(host, day), format('worker-%%s.example', host + 1), %(version)s, %(capacity)s,
       began, CASE WHEN is_last THEN %(now)s + interval '1 day' ELSE ended END, CASE WHEN NOT is_last THEN ended END
FROM generate_series(0, %(hosts)s - 1) host, generate_series(0, %(days)s - 1) day,
     LATERAL (SELECT %(now)s - %(span)s * (1 - day::float8 / %(days)s) AS began,
                     %(now)s - %(span)s * (1 - (day + 1)::float8 / %(days)s) AS ended, day = %(days)s - 1 AS is_last) life
"""

THREADS = """
INSERT INTO runs_thread (id, owner_id, status, metadata, config, created_at, updated_at, state_updated_at)
SELECT thread_id, owner_id, 'idle', jsonb_build_object('case', thread), '{}', begun, begun, begun
FROM plan_threads ORDER BY begun
"""

RUNS = """
INSERT INTO runs_run (id, sequence, thread_id, owner_id, assistant, status, multitask_strategy, on_disconnect,
    on_completion, metadata, kwargs, model_name, usage, message_count, first_message, last_message, error, reason,
    cancel_action, cancelled_by, cancelled_at, base_id, rolled_back_at, attempt, kept_from_attempt, crashes, max_attempts,
    worker_id, leased, timeout_seconds, timeout_at, not_before, dispatched_at, dispatches, started_at, finished_at,
    created_at, updated_at)
SELECT run_id, n, thread_id, owner_id,
    (ARRAY['support', 'billing', 'research', 'digest', 'translate', 'triage'])[1 + floor(6 * pg_temp.chance(n, 9) ^ 2)],
    CASE WHEN ending IN ('stopped', 'unwanted', 'stopping') THEN 'interrupted' ELSE ending END,
    (ARRAY['reject', 'reject', 'enqueue', 'enqueue', 'interrupt', 'rollback'])[1 + floor(6 * pg_temp.chance(n, 10))],
    CASE WHEN pg_temp.chance(n, 11) < 0.5 THEN 'cancel' ELSE 'continue' END, 'keep',
    jsonb_build_object('customer', n %% 5000),
    jsonb_build_object('input', jsonb_build_object('question', 'What has become of order ' || n || '?', 'language', 'en'),
                       'stream_mode', jsonb_build_array('values')),
    CASE WHEN attempts > 0 THEN 'model-' || n %% 3 END,
    CASE WHEN attempts > 0 THEN jsonb_build_object('input_tokens', 200 + n %% 800, 'output_tokens', n %% 400,
        'total_tokens', 200 + n %% 800 + n %% 400, 'calls', 1 + n %% 4) ELSE '{}' END,
    CASE WHEN ending = 'success' THEN 2 * steps ELSE 0 END,
    CASE WHEN ending = 'success' THEN 'What has become of order ' || n || '?' ELSE '' END,
    CASE WHEN ending = 'success' THEN 'It was sent on Monday and should be with you within three days.' ELSE '' END,
    CASE ending
        WHEN 'error' THEN jsonb_build_object(
            'type', (ARRAY['ValueError', 'TimeoutError', 'ConnectionError', 'KeyError'])[1 + n %% 4],
            'message', 'order ' || n || ' is not known',
            'traceback', 'Traceback (most recent call last):\n' || repeat('  File "assistant.py", line 42, in answer\n', 8))
        WHEN 'timeout' THEN jsonb_build_object('type', 'RunTimedOut', 'traceback', '',
            'message', 'The run exceeded its time limit.') END,
    CASE ending WHEN 'success' THEN 'finished' WHEN 'error' THEN 'finished' WHEN 'timeout' THEN 'time limit exceeded'
                WHEN 'pending' THEN '' WHEN 'running' THEN 'claimed by worker ' || worker_id ELSE 'cancelled' END,
    cancel_action, CASE WHEN cancel_action IS NULL THEN '' ELSE 'user:operator' END,
    CASE WHEN cancel_action IS NOT NULL THEN finished END,
    CASE WHEN attempts > 0 THEN base.checkpoint_id END,
    CASE WHEN cancel_action = 'rollback' AND attempts > 0 THEN finished END,
    attempts, greatest(attempts, 1), 0, 3,
    CASE WHEN attempts > 0 THEN plan.worker_id END, ending IN ('running', 'stopping'),
    CASE WHEN ending = 'timeout' THEN greatest(extract(epoch FROM duration), 0.001) ELSE 3600 END,
    CASE WHEN ending = 'running' THEN %(now)s + interval '1 hour' WHEN attempts > 0 THEN started + interval '1 hour' END,
    CASE WHEN ending = 'pending' AND place > 1 AND n %% 20 = 0 THEN %(now)s + interval '1 hour' * (1 + n %% 10) END,
    CASE WHEN ending = 'pending' AND place = 1 THEN created END, CASE WHEN ending = 'pending' AND place = 1 THEN 1 ELSE 0 END,
    CASE WHEN attempts > 0 THEN started END,
    CASE WHEN ending NOT IN ('pending', 'running') THEN finished END,
    created, CASE WHEN ending = 'pending' THEN created WHEN ending = 'running' THEN started ELSE finished END
FROM (SELECT *, CASE WHEN ending IN ('stopped', 'unwanted', 'stopping')
                     THEN CASE WHEN n %% 4 = 0 THEN 'rollback' ELSE 'interrupt' END END AS cancel_action
      FROM plan WHERE n BETWEEN %(first)s AND %(last)s) plan
JOIN plan_threads USING (thread)
LEFT JOIN LATERAL (SELECT checkpoint_id FROM plan earlier WHERE earlier.n = plan.base_n) base ON true
ORDER BY n
"""

CHECKPOINTS = """
INSERT INTO runs_checkpoint (id, thread_id, parent_id, run_id, attempt, step, "values", next, interrupts, metadata, created_at)
SELECT checkpoint_id, thread_id, (SELECT checkpoint_id FROM plan earlier WHERE earlier.n = plan.base_n), run_id, attempts,
    steps - 1,
    jsonb_build_object('messages', jsonb_build_array(
        jsonb_build_object('type', 'human', 'content', 'What has become of order ' || n || '?'),
        jsonb_build_object('type', 'ai', 'content', 'It was sent on Monday and should be with you within three days.'))),
    '[]', '{}', jsonb_build_object('source', 'loop', 'step', steps - 1), finished
FROM plan JOIN plan_threads USING (thread)
WHERE n BETWEEN %(first)s AND %(last)s AND ending = 'success' ORDER BY n
"""

#: The history of each run: accepted; each attempt claimed, and handed back if another follows; ended; settled.
EVENTS = """
INSERT INTO runs_runevent (run_id, from_status, to_status, attempt, actor, reason, request_id, at)
SELECT run_id, event.from_status, event.to_status, event.attempt, event.actor, event.reason, event.request_id, event.at
FROM plan JOIN plan_threads USING (thread), LATERAL (
    SELECT NULL AS from_status, 'pending' AS to_status, 0 AS attempt, 'api-key:bench' || owner_id AS actor, '' AS reason,
           md5(n::text) AS request_id, created AS at, 0 AS rank
    UNION ALL
    SELECT 'pending', 'running', each, 'system/worker', 'claimed by worker ' || worker_id, '',
           started + duration * ((each - 1)::float8 / attempts), 1
    FROM generate_series(1, attempts) each
    UNION ALL
    SELECT 'running', 'pending', each, 'system/worker', 'shutdown', '',
           started + duration * ((each - 0.2)::float8 / attempts), 2
    FROM generate_series(1, CASE WHEN ending = 'unwanted' THEN attempts ELSE attempts - 1 END) each
    UNION ALL
    SELECT CASE WHEN ending = 'unwanted' THEN 'pending' ELSE 'running' END,
           CASE WHEN ending IN ('stopped', 'unwanted', 'stopping') THEN 'interrupted' ELSE ending END, attempts,
           CASE WHEN ending IN ('stopped', 'unwanted', 'stopping') THEN 'user:operator' ELSE 'system/worker' END,
           CASE ending WHEN 'success' THEN 'finished' WHEN 'error' THEN 'finished' WHEN 'timeout' THEN 'time limit exceeded'
                       ELSE 'cancelled' END, '', finished, 3
    WHERE ending NOT IN ('pending', 'running')
    UNION ALL
    SELECT status, status, attempts, 'system/worker', 'settled: left', '', settled, 4
    FROM (SELECT CASE ending WHEN 'timeout' THEN 'timeout' ELSE 'interrupted' END AS status) ended
    WHERE ending IN ('timeout', 'stopped')
) event
WHERE n BETWEEN %(first)s AND %(last)s ORDER BY event.at, n, event.rank
"""

KEYS = """
INSERT INTO runs_idempotencykey (owner_id, route, key, fingerprint, run_id, created_at)
SELECT owner_id, 'POST /threads/{thread_id}/runs', md5('key ' || n), repeat(md5(n::text), 2), run_id, plan.created
FROM plan JOIN plan_threads USING (thread)
WHERE plan.created > %(now)s - interval '1 day' ORDER BY n
"""

#: What a thread shows is a function of its runs.
THREAD_STATES = """
UPDATE runs_thread SET head_id = head.checkpoint_id, state_updated_at = coalesce(head.finished, runs_thread.created_at),
    updated_at = coalesce(last.finished, runs_thread.created_at),
    status = CASE WHEN is_busy THEN 'busy' WHEN last.ending IN ('error', 'timeout') THEN 'error' ELSE 'idle' END,
    error = CASE WHEN NOT is_busy AND last.ending IN ('error', 'timeout')
                 THEN (SELECT jsonb_build_object('error', run.error -> 'type', 'message', run.error -> 'message')
                       FROM runs_run run WHERE run.id = last.run_id) END
FROM plan_threads LEFT JOIN plan head ON head.n = plan_threads.head_n LEFT JOIN plan last ON last.n = plan_threads.last_n
WHERE runs_thread.id = plan_threads.thread_id
"""

END = "SELECT setval('runs_run_sequence', %(runs)s); DROP TABLE plan, plan_threads"
