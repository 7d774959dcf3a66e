-- How one task's end moves the others of its workflow. Behind lib.lua in each act.
--
-- The plan of a workflow lies in the records of its tasks:
--   next    ids of the tasks that depend on this one     rescue  ids that run only if it fails
--   after   ids that only come later (SEQUENTIAL)        n       how many it depends on
--   need    '' all of them, a number of them, or 'settled': all are final, and one completed;
--           or 'settled:3': so many of them are final
--   ok, bad, out   how many of them completed, did not, or were on a branch not taken
--   cancel_rest    '1': with a number reached, cancel the rest; 'end': when it is done
--   wake    when it runs even if what it waits for is not final; ms since the epoch
--   soft    a flow goes on without it: its failure is not the workflow's
--   blocked        how many tasks it only comes after are not final
-- A dependency counts once, when it becomes final, which happens once: so a
-- join is exact, whatever is delivered twice.

local function ids_of(text) return string.gmatch(text or '', '%S+') end

local function workflow_key(workflow) return P .. 'workflow:' .. workflow end

local function move_workflow(workflow, from, to)
  if from ~= to then call('ZREM', P .. 'wstatus:' .. from, workflow) end
  call('ZADD', P .. 'wstatus:' .. to, now, workflow)
end

local touched, agenda, draining = {}, {}, false

local function skip(id, from, kind, reason)
  close(id, from, 'skipped', 'skip', kind, 'error', cjson.encode({type = 'TaskSkippedError', message = reason}))
  write_result(id, 'REVOKED', '', cjson.encode({exc_type = 'TaskRevokedError', exc_message = {reason},
    exc_module = 'celery.exceptions'}), 'null', true)
  event('task.skipped', id, 'name', call('HGET', P .. 'task:' .. id, 'name'), 'reason', reason)
  spread(id, kind)
end

-- Cancel a task that is not final. `kind` says how it counts for those that depend on it.
local function cancel(id, status, reason, kind, done)
  local r = call('HMGET', P .. 'task:' .. id, 'owner', 'name', 'attempts', 'expanded')
  if r[1] then call('RPUSH', P .. 'cancels:' .. r[1], id) end
  local workflow = close(id, status, 'cancelled', 'skip', kind, 'error', cjson.encode({type = 'TaskCancelledError', message = reason}))
  write_result(id, 'REVOKED', done or '', cjson.encode({exc_type = 'TaskRevokedError', exc_message = {reason},
    exc_module = 'celery.exceptions'}), 'null', workflow)
  event('task.cancelled', id, 'name', r[2], 'attempt', r[3] or '0', 'reason', reason)
  -- What it spawned and waits for has no use any more.
  if r[4] then
    for child in ids_of(r[4]) do
      local state = call('HGET', P .. 'task:' .. child, 'status')
      if state and not FINAL[state] then cancel(child, state, reason, 'out') end
    end
  end
  if workflow then spread(id, kind) end
end

-- What a task depends on; of a flow that went on, what it waits for now.
local function deps_of(id) return cjson.decode(call('HGET', P .. 'task:' .. id, 'deps') or '{}') end

-- Whether somebody other than `join` still waits for a task's output.
local function is_wanted(id, join)
  for follower in ids_of(call('HGET', P .. 'task:' .. id, 'next')) do
    if follower ~= join then
      local r = call('HMGET', P .. 'task:' .. follower, 'status', 'ready')
      if r[1] == 'pending' and not r[2] then return true end
    end
  end
  return false
end

-- A join has what it needs: cancel what nobody else waits for, and what only that needed.
local function cancel_rest(join)
  local rest = {}
  for dependency in pairs(deps_of(join)) do rest[#rest + 1] = dependency end
  local at = 1
  while at <= #rest do
    local id = rest[at]
    local status = call('HGET', P .. 'task:' .. id, 'status')
    if status and not FINAL[status] and not is_wanted(id, join) then
      for dependency in pairs(deps_of(id)) do rest[#rest + 1] = dependency end
      cancel(id, status, 'not needed any more', 'out')
    end
    at = at + 1
  end
end

local function start(id, delay, external, goes_on)
  call('HSET', P .. 'task:' .. id, 'ready', '1')
  if delay and tonumber(delay) > 0 then
    schedule_push(id, now + tonumber(delay))
  elseif external then
    return
  elseif goes_on then
    -- Its step may cancel turns that still wait in this queue: behind them it would come too late.
    push_first(id)
  else
    push(id)
  end
end

-- Look whether a task can start, or never will.
local function weigh(id, cause)
  local key = P .. 'task:' .. id
  local r = call('HMGET', key, 'status', 'ready', 'n', 'need', 'ok', 'bad', 'out', 'blocked',
    'delay', 'workflow', 'cancel_rest', 'expanded', 'wake')
  if r[1] ~= 'pending' or r[2] then return end
  local n, need = tonumber(r[3] or '0'), r[4] or ''
  local ok, bad, out = tonumber(r[5] or '0'), tonumber(r[6] or '0'), tonumber(r[7] or '0')
  local can, never = false, false
  if need == 'settled' then
    -- Whoever started has to come to an end with what there is; who has not needs something.
    can = ok + bad + out == n and (ok > 0 or n == 0 or r[12])
    never = not can and ok + bad + out == n
  elseif string.find(need, 'settled:', 1, true) == 1 then
    can = ok + bad + out >= math.min(n, tonumber(string.sub(need, 9)))
  elseif need ~= '' then
    can = ok >= tonumber(need)
    -- A failure decides at once. A branch not taken does not: how it counts for others
    -- must not hang on which came first.
    never = not can and n - bad - out < tonumber(need) and (bad > 0 or ok + bad + out == n)
    if never then
      cause = 'it needs ' .. need .. ' of its ' .. n .. ' dependencies' .. (cause ~= '' and ': ' .. cause or '')
    end
  else
    never = bad > 0 or (n > 0 and out == n)
    can = not never and ok + out == n
  end
  if never and r[12] and bad > 0 then
    -- It has started and waits for what it spawned: it fails, it is not skipped.
    fail(id, 'pending', '', cjson.encode({type = 'TaskFailedError', message = cause}),
      cjson.encode({exc_type = 'TaskFailedError', exc_message = {id, cause}, exc_module = 'pyagent_orch.exceptions'}),
      'null')
    for child in ids_of(r[12]) do
      local status = call('HGET', P .. 'task:' .. child, 'status')
      -- Not `out`: a retry of the flow needs it again.
      if status and not FINAL[status] then cancel(child, status, 'not needed any more', 'bad') end
    end
  elseif never then
    skip(id, 'pending', bad > 0 and 'bad' or 'out', cause)
  elseif can and tonumber(r[8] or '0') <= 0 then
    if r[13] then call('ZREM', P .. 'delayed', id) end
    -- A flow that goes on has had its delay, and its turn in the queue.
    local external = r[10] and call('HGET', workflow_key(r[10]), 'external')
    local goes_on = r[12] and r[12] ~= ''
    start(id, not goes_on and r[9], external, goes_on)
    if r[11] and r[11] ~= 'end' then cancel_rest(id) end
  end
end

local function finalize(workflow)
  local key = workflow_key(workflow)
  local w = call('HMGET', key, 'status', 'open', 'cause', 'cancelled', 'name', 'job')
  if not w[1] or tonumber(w[2]) > 0 or w[1] == 'completed' or w[1] == 'failed' or w[1] == 'cancelled' then return end
  local status = w[4] and 'cancelled' or (w[3] and 'failed' or 'completed')
  call('HSET', key, 'status', status, 'finished', now)
  move_workflow(workflow, w[1], status)
  call('ZREM', P .. 'deadlines', workflow)
  bump('workflow', status)
  for _, id in ipairs(call('LRANGE', key .. ':tasks', 0, -1)) do
    call('PEXPIRE', P .. 'task:' .. id, RECORD_TTL)
    call('PEXPIRE', result_key(id), RECORD_TTL)
    local agent = call('HGET', P .. 'task:' .. id, 'agent')
    if agent then drop_agent(agent) end
  end
  call('PEXPIRE', key .. ':tasks', RECORD_TTL)
  call('PEXPIRE', key, RECORD_TTL)
  event('workflow.' .. status, workflow, 'name', w[5], 'reason', w[4] or w[3] or '')
  if w[6] then end_run(w[6], workflow, status) end
end

-- Why a task did not complete, for those that depend on it and for people.
local function cause_of(id, name, status, error_json)
  local told, error = pcall(cjson.decode, error_json or '')
  told = told and type(error) == 'table'
  if told and status == 'skipped' then return error.message end
  local cause = (name or id) .. ' ' .. (status or '')
  if told and error.message ~= '' then cause = cause .. ': ' .. preview(error.type .. ': ' .. error.message) end
  return cause
end

-- A flow that has gone on may wait for others by now.
local function waits_for(follower, id)
  local r = call('HMGET', P .. 'task:' .. follower, 'expanded', 'deps')
  return not r[1] or r[1] == '' or string.find(r[2] or '', '"' .. id .. '"', 1, true)
end

local function spread_one(id, kind)
  local r = call('HMGET', P .. 'task:' .. id, 'next', 'rescue', 'after', 'workflow', 'name', 'status', 'error', 'soft')
  if not r[4] then return end
  local cause = ''
  if kind == 'bad' then
    cause = cause_of(id, r[5], r[6], r[7])
    -- The first failure is what the workflow failed of.
    if r[6] ~= 'skipped' and not r[8] then call('HSETNX', workflow_key(r[4]), 'cause', cause) end
  elseif kind == 'out' then
    cause = r[6] == 'skipped' and 'its branch was not taken' or ((r[5] or id) .. ' was not needed')
  end
  call('HINCRBY', workflow_key(r[4]), 'open', -1)
  touched[r[4]] = true
  for follower in ids_of(r[1]) do
    if waits_for(follower, id) then
      call('HINCRBY', P .. 'task:' .. follower, kind, 1)
      weigh(follower, cause)
    end
  end
  for follower in ids_of(r[2]) do
    -- The other way round: it runs because this one failed.
    local counts = (kind == 'bad' and r[6] == 'failed') and 'ok' or 'out'
    call('HINCRBY', P .. 'task:' .. follower, counts, 1)
    weigh(follower, (r[5] or id) .. ' did not fail')
  end
  for follower in ids_of(r[3]) do
    call('HINCRBY', P .. 'task:' .. follower, 'blocked', -1)
    weigh(follower, cause)
  end
end

-- Tell those that depend on a task how it ended; a list, not a recursion, so
-- that a chain of ten thousand costs no stack.
spread = function(id, kind)
  agenda[#agenda + 1] = {id, kind}
  if draining then return end
  draining = true
  local at = 1
  while at <= #agenda do
    spread_one(agenda[at][1], agenda[at][2])
    at = at + 1
  end
  agenda, draining = {}, false
  for workflow in pairs(touched) do finalize(workflow) end
  touched = {}
end

local function cancel_workflow(workflow, reason, done)
  local key = workflow_key(workflow)
  call('HSET', key, 'cancelled', reason)
  -- All of it ends here, so that nobody has to be told of anybody's end.
  draining = true
  for _, id in ipairs(call('LRANGE', key .. ':tasks', 0, -1)) do
    local status = call('HGET', P .. 'task:' .. id, 'status')
    if status and not FINAL[status] then cancel(id, status, reason, 'bad', done) end
  end
  call('HINCRBY', key, 'open', -#agenda)
  agenda, draining = {}, false
  finalize(workflow)
end
