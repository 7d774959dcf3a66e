-- What every act shares. Put in front of each act when it is loaded, with the
-- constants and the function `message` that store/acts.py writes.
--
-- KEYS[1]: prefix of our keys; KEYS[2]: prefix of Celery's keys.
-- The clock is Redis' own, so that no two machines can disagree on it.

local P, C = KEYS[1], KEYS[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local call = redis.call

-- Tells those that depend on a task how it ended; in joins.lua.
local spread

-- Count what happens, for metrics; in counts.lua.
local count, bump, observe, observe_attempt, count_failure, count_usage

local FINAL = {completed = true, failed = true, cancelled = true, skipped = true}

-- The key names the layout that the namespace is in. Later layouts have prefixes of their own
-- and leave their number here, so that what is older finds it.
local function newer_layout()
  local layout = tonumber(call('GET', P .. 'layout') or LAYOUT)
  return layout > LAYOUT and redis.error_reply('LAYOUT ' .. layout)
end

local function event(type, id, ...)
  return call('XADD', P .. 'events', 'MAXLEN', '~', EVENTS_MAX_LENGTH, '*', 'type', type, 'id', id, ...)
end

-- Listings: one sorted set for each state, by the time of the last move.
local function move(id, from, to)
  if from and from ~= to then call('ZREM', P .. 'status:' .. from, id) end
  call('ZADD', P .. 'status:' .. to, now, id)
end

-- A cut must not leave half a character: the message has to stay valid UTF-8.
local function preview(text)
  if #text <= 120 then return text end
  return (string.gsub(string.sub(text, 1, 117), '[\192-\255][\128-\191]*$', '')) .. '...'
end

-- How an input begins that has outputs in it, as people write it: what they are is not known
-- before the task runs. Of one that is long, or no text, how it is recorded.
local SKETCHED_BYTES = 4096
local function sketch(id)
  local r = call('HMGET', P .. 'task:' .. id, 'template', 'deps')
  if not r[1] then return '' end
  local read, node = pcall(cjson.decode, #r[1] <= SKETCHED_BYTES and r[1] or '')
  local parts = read and (node.t or node.r and {node.r})
  if not parts then return r[1] end
  local names = r[2] and #r[2] <= SKETCHED_BYTES and cjson.decode(r[2]) or {}
  for i, part in ipairs(parts) do
    if type(part) == 'table' then parts[i] = '{' .. (names[part[1]] or part[1]) .. '.output}' end
  end
  return (string.gsub(cjson.encode(table.concat(parts)), '\\/', '/'))
end

local function queue_index(queue, priority)
  return P .. 'queued:' .. queue .. ':' .. priority
end

-- A task's Celery message, the list it belongs on, the index of what is queued there, and
-- the queue's entry. `r`: the task's name, queue, priority, timeout and input.
local function delivery(id, r)
  local priority = tonumber(r[3]) - 1
  -- Ours runs from 1, the transport's from 0; its list of priority 0 has no suffix.
  local list = C .. r[2]
  if priority > 0 then list = list .. SEPARATOR .. priority end
  local limits = 'null,null'
  if r[4] and r[4] ~= '' then
    -- Celery's soft limit ends the attempt; the hard one is for code that ignores it.
    limits = (tonumber(r[4]) + HARD_LIMIT_GRACE) .. ',' .. tonumber(r[4])
  end
  local text = message(
    id, cjson.encode(r[1]), cjson.encode(preview(r[5] or sketch(id))), tostring(priority),
    cjson.encode(r[2]), limits, id .. ':' .. now)
  return text, list, queue_index(r[2], r[3]), r[2] .. ':' .. r[3]
end

-- Idle workers wait at the bells of their queues; one of them hears it, takes what it can, and
-- rings again if it leaves something. Unheard for two seconds it has no use: whoever is idle
-- looks by itself every second.
local function bell(queue) return P .. 'bell:' .. queue end

local function ring(queue)
  local key = bell(queue)
  if call('EXISTS', key) == 0 then
    call('LPUSH', key, '1')
    call('PEXPIRE', key, 2000)
  end
end

-- Put the task's Celery message on its queue. Harmless when a copy is there already.
local function push(id)
  local r = call('HMGET', P .. 'task:' .. id, 'name', 'queue', 'priority', 'timeout', 'input')
  local text, list, index, entry = delivery(id, r)
  call('LPUSH', list, text)
  call('ZADD', index, now, id)
  call('SADD', P .. 'queues', entry)
  ring(r[2])
end

-- The same, before all others of its priority: it has waited already. Its place in the index
-- is before theirs, too, since what is older than the oldest message counts as taken.
local function push_first(id)
  local r = call('HMGET', P .. 'task:' .. id, 'name', 'queue', 'priority', 'timeout', 'input')
  local text, list, index, entry = delivery(id, r)
  local oldest = call('ZRANGE', index, 0, 0, 'WITHSCORES')[2]
  call('RPUSH', list, text)
  call('ZADD', index, oldest and math.min(now, tonumber(oldest) - 1) or now, id)
  call('SADD', P .. 'queues', entry)
  ring(r[2])
end

local function unqueue(id, queue, priority)
  call('ZREM', queue_index(queue, priority), id)
end

local function schedule_push(id, due)
  call('ZADD', P .. 'delayed', due, id)
end

-- An agent lives as long as a task that is not final uses it, and then as long as a record.
local function hold_agent(hash, times)
  local key = P .. 'agent:' .. hash
  if call('HINCRBY', key, 'active', times or 1) == (times or 1) then call('PERSIST', key) end
end

local function drop_agent(hash)
  local key = P .. 'agent:' .. hash
  if call('HINCRBY', key, 'active', -1) <= 0 then call('PEXPIRE', key, RECORD_TTL) end
end

-- Celery's own result, for AsyncResult(id).get() in any plain client. It is
-- also where the output lives: the record does not hold it a second time.
local RESULT = ',"result":'
local function result_key(id) return C .. 'celery-task-meta-' .. id end

-- `keep`: the task is part of a workflow, whose end decides when it expires.
local function write_result(id, state, done, value, traceback, keep)
  local meta = '{"status":"' .. state .. '","traceback":' .. traceback .. ',"children":[],"date_done":"'
    .. done .. '","task_id":"' .. id .. '"' .. RESULT .. value .. '}'
  if keep then call('SET', result_key(id), meta) else call('SET', result_key(id), meta, 'PX', RECORD_TTL) end
  call('PUBLISH', result_key(id), meta)
end

local function read_output(id)
  local meta = call('GET', result_key(id))
  if not meta then return false end
  local _, stop = string.find(meta, RESULT, 1, true)
  return string.sub(meta, stop + 1, -2)
end

-- Whether a worker's lease is still good.
local function lease(worker)
  local until_ms = worker and call('ZSCORE', P .. 'workers', worker)
  return until_ms and tonumber(until_ms) >= now
end

-- Whether a plain Celery canvas starts what follows the task that is now finished.
local led_on = false

-- Whether nobody has swept for longer than living workers ever leave out: then Redis itself
-- was away, and a lease that has run out says nothing about its worker.
local function was_away(last)
  return last > 0 and now - last > LEASE_MS / 2
end

-- A run of a scheduled job has ended.
local function end_run(job, run, status)
  local key = P .. 'job:' .. job
  local name = call('HGET', key, 'name')
  if not name then return end
  if call('LLEN', key .. ':waiting') > 0 then call('ZADD', P .. 'jobs:waiting', now, job) end
  event(status == 'completed' and 'job.finished' or 'job.failed', job, 'name', name, 'run', run, 'status', status)
end

-- Everything a task leaves behind when it becomes final. The further arguments are
-- fields of its record. Returns the workflow that it is part of, or false.
local function close(id, from, to, ...)
  local key = P .. 'task:' .. id
  local r = call('HMGET', key, 'owner', 'queue', 'priority', 'agent', 'key', 'workflow', 'job', 'name')
  call('HSET', key, 'status', to, 'finished', now, ...)
  if from == 'running' then
    observe_attempt(id, to, r[8])
  else
    count('attempt', to, '', preview(r[8] or ''), 1)
  end
  move(id, from, to)
  if r[1] then
    call('SREM', P .. 'running:' .. r[1], id)
    call('HDEL', key, 'owner')
  end
  if from ~= 'running' then
    unqueue(id, r[2], r[3])
    call('ZREM', P .. 'delayed', id)
  end
  if not r[6] then
    if r[4] then drop_agent(r[4]) end
    call('PEXPIRE', key, RECORD_TTL)
    if r[5] then call('PEXPIRE', P .. 'key:' .. r[5], RECORD_TTL) end
  elseif not led_on then
    -- Celery does not go on from here: its message was lost with a worker, or this is no
    -- success. From now on we start the tasks; a second message of one is harmless.
    call('HDEL', P .. 'workflow:' .. r[6], 'external')
  end
  if r[7] then end_run(r[7], id, to) end
  return r[6]
end

-- A failure that ends the task. `error` is our JSON, `value` Celery's form of it.
local function fail(id, from, done, error_json, value, traceback)
  local workflow = close(id, from, 'failed', 'error', error_json)
  count_failure(error_json, 'failed')
  write_result(id, 'FAILURE', done, value, traceback, workflow)
  local r = call('HMGET', P .. 'task:' .. id, 'name', 'attempts', 'worker')
  event('task.failed', id, 'name', r[1], 'attempt', r[2] or '0', 'worker', r[3] or '', 'error', error_json)
  if workflow then spread(id, 'bad') end
end

-- The worker of a running task is gone: push the task again, or give it up
-- when it took too many workers with it.
local function lose(id, worker_name, done)
  local key = P .. 'task:' .. id
  local losses = call('HINCRBY', key, 'losses', 1)
  if losses >= MAX_WORKER_LOSSES then
    local text = 'worker lost ' .. losses .. ' times, last ' .. worker_name
    fail(id, 'running', done,
      cjson.encode({type = 'WorkerLostError', message = text}),
      cjson.encode({exc_type = 'WorkerLostError', exc_message = {text}, exc_module = 'billiard.exceptions'}),
      'null')
    return false
  end
  local r = call('HMGET', key, 'owner', 'name', 'attempts')
  if r[1] then call('SREM', P .. 'running:' .. r[1], id) end
  call('HSET', key, 'status', 'pending')
  call('HDEL', key, 'owner')
  observe_attempt(id, 'lost', r[2])
  move(id, 'running', 'pending')
  push_first(id)
  bump('recovered', 'worker_lost')
  event('task.recovered', id, 'name', r[2], 'attempt', r[3] or '0', 'worker', worker_name)
  return true
end

-- A worker that stops hands a running task on; the attempt does not count.
local function give_back(id, worker_name)
  local key = P .. 'task:' .. id
  local r = call('HMGET', key, 'owner', 'name', 'attempts')
  call('SREM', P .. 'running:' .. r[1], id)
  call('HINCRBY', key, 'attempts', -1)
  call('HSET', key, 'status', 'pending')
  call('HDEL', key, 'owner')
  move(id, 'running', 'pending')
  push_first(id)
  bump('released')
  event('task.released', id, 'name', r[2], 'attempt', r[3], 'worker', worker_name)
end
