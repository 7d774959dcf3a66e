-- fire: deal with one due time of a job: record its run and move the job on, in one act, so
-- that a due time fires once whoever asks how often, and wherever he dies.
-- uses: record
--
-- ARGV: number of new agents, then hash and JSON of each; number of tasks, then the tasks (see
--       record.lua); job's id; how: 'due', 'queued' or 'manual'; revision and runs that the
--       job must have; due time that it must have (queued: the tick); next due time or '', and the
--       same if this one does not run after all; tick or '' when nothing fires; run's id; late '1' or ''; due times left out, '' when
--       none, '?' when they were not counted; the first of those; workflow's id or '';
--       deadline in ms or 0; number of its field/value strings; those strings.
-- Returns {'fired' | 'queued' | 'skipped' | 'passed' | 'moved'}.

local agents = take_agents()
unknown_agent(agents)
local tasks_at, count = at, tonumber(ARGV[at])
at = at + 1
for _ = 1, count do at = at + 5 + tonumber(ARGV[at + 4]) end
local job, how, revision, runs = take(), take(), take(), take()
local due, next, next_if_skipped = take(), take(), take()
local tick, run, late, left_out, left_out_from = take(), take(), take(), take(), take()
local workflow, deadline, size = take(), tonumber(take()), tonumber(take())
local MOST_WAITING, MOST_LISTED, LOOK_AGAIN = 100, 100, 60000

local key = P .. 'job:' .. job
local j = call('HMGET', key, 'rev', 'runs', 'overlap', 'last_run', 'name', 'enabled')
if not j[1] then return {'moved'} end
local manual, queued = how == 'manual', how == 'queued'
if not manual then
  if j[1] ~= revision or j[2] ~= runs then return {'moved'} end
  if queued then
    if call('LINDEX', key .. ':waiting', 0) ~= due then return {'moved'} end
  else
    local score = call('ZSCORE', P .. 'jobs:due', job)
    if not score or tonumber(score) ~= tonumber(due) then return {'moved'} end
    if next ~= '' and tonumber(next) <= tonumber(due) then
      return redis.error_reply('ERR job ' .. job .. ' would fire twice at ' .. due)
    end
  end
end

local function is_open(id)
  if not id then return false end
  local status = call('HGET', P .. 'task:' .. id, 'status') or call('HGET', workflow_key(id), 'status')
  return status and not FINAL[status]
end

local waiting = call('LLEN', key .. ':waiting')

local function end_job()
  call('HSET', key, 'ended', now, 'enabled', '0')
  -- Who has read it as one that goes on must not write it back so.
  call('HINCRBY', key, 'rev', 1)
  call('PEXPIRE', key, RECORD_TTL)
  call('PEXPIRE', key .. ':runs', RECORD_TTL)
  event('job.ended', job, 'name', j[5])
end

local function move_on(to)
  if how ~= 'due' then return end
  if left_out ~= '' then
    bump('left_out', 'missed', tonumber(left_out))
    event('job.missed', job, 'name', j[5], 'missed', left_out, 'from', left_out_from)
  end
  if to ~= '' then
    call('ZADD', P .. 'jobs:due', to, job)
  else
    call('ZREM', P .. 'jobs:due', job)
    if waiting == 0 then end_job() end
  end
end

if tick == '' then
  move_on(next)
  return {'passed'}
end

local busy = not manual and j[3] ~= 'allow' and is_open(j[4])
if queued and (busy or j[6] ~= '1') then
  call('ZADD', P .. 'jobs:waiting', now + LOOK_AGAIN, job)
  return {'queued'}
end
if not manual and j[3] ~= 'allow' then
  if not queued and (busy or waiting > 0) then
    if j[3] == 'queue' and waiting < MOST_WAITING then
      call('RPUSH', key .. ':waiting', tick)
      waiting = waiting + 1
      call('ZADD', P .. 'jobs:waiting', 'NX', busy and now + LOOK_AGAIN or now, job)
      event('job.queued', job, 'name', j[5], 'tick', tick, 'last_run', j[4])
      move_on(next)
      return {'queued'}
    end
    bump('left_out', 'overlap')
    event('job.skipped', job, 'name', j[5], 'tick', tick, 'last_run', j[4],
      'reason', 'the last run is not finished')
    move_on(next_if_skipped)
    return {'skipped'}
  end
end

-- Record the run, as submit and submit_workflow do.
keep_agents(agents)
at = tasks_at + 1
if workflow ~= '' then
  local wkey = workflow_key(workflow)
  if call('EXISTS', wkey) == 0 then
    local from = at
    local ids = {}
    for i = 1, count do
      ids[i] = ARGV[at]
      at = at + 5 + tonumber(ARGV[at + 4])
    end
    -- Behind the job's own arguments.
    call('HSET', wkey, 'status', 'pending', 'created', now, 'open', count, 'job', job,
      unpack(ARGV, #ARGV - size + 1))
    move_workflow(workflow, 'pending', 'pending')
    event('workflow.submitted', workflow, 'name', call('HGET', wkey, 'name'), 'tasks', count)
    at = from
    for _ = 1, count do record(workflow) end
    if deadline > 0 then
      call('HSET', wkey, 'deadline', deadline)
      call('ZADD', P .. 'deadlines', now + deadline, workflow)
    end
    for _, id in ipairs(ids) do weigh(id, '') end
  else
    for hash, times in pairs(uses) do
      for _ = 1, times do drop_agent(hash) end
    end
  end
else
  local id, delay, _, parts = record()
  if id then
    if delay > 0 then
      schedule_push(id, now + delay)
    else
      local text, list, index, entry = delivery(id, parts)
      call('LPUSH', list, text)
      call('ZADD', index, now, id)
      call('SADD', P .. 'queues', entry)
      ring(parts[2])
    end
  end
end
count_recorded()
bump('fired', how)
if how == 'due' then observe('late', '', '', math.max(0, now - tonumber(tick))) end
call('LPUSH', key .. ':runs', run)
call('LTRIM', key .. ':runs', 0, MOST_LISTED - 1)
local rest = manual and call('PTTL', key) or -1
if rest > 0 then call('PEXPIRE', key .. ':runs', rest) end
call('HSET', key, 'last', tick, 'last_run', run)
if not manual then call('HINCRBY', key, 'runs', 1) end
if queued then
  call('LPOP', key .. ':waiting')
  -- The next of them waits for this run.
  if waiting > 1 then
    call('ZADD', P .. 'jobs:waiting', now + LOOK_AGAIN, job)
  else
    call('ZREM', P .. 'jobs:waiting', job)
  end
end
waiting = call('LLEN', key .. ':waiting')
event('job.fired', job, 'name', j[5], 'run', run, 'tick', tick, 'late', late, 'how', how)
move_on(next)
if queued and waiting == 0 and not call('ZSCORE', P .. 'jobs:due', job) then end_job() end
return {'fired'}
