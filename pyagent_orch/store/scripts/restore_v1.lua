-- restore: write records that Redis has lost, as a state file has them. What had ended is
-- there again as it ended; what had not is recorded and goes on.
-- uses: record recount
--
-- ARGV: number of agents, then hash and JSON of each; workflow's id or '', number of its
--       field/value strings, those strings ('name', 'status' and 'created' among them); number
--       of tasks, then the tasks: id, delay in ms, idempotency key or '', value of Celery's
--       result or '', its date or '', number of field/value strings, those strings ('name',
--       'agent', 'status', 'created', and 'finished' of one that is final, among them).
-- Returns {'exists'} when the workflow is there (nothing is written), else {'ok', ids that
--       were there already...}.

local RESULTS = {completed = 'SUCCESS', failed = 'FAILURE', cancelled = 'REVOKED', skipped = 'REVOKED'}

local function take_fields()
  local size, first, fields = tonumber(take()), at, {}
  for i = first, first + size - 1, 2 do fields[ARGV[i]] = ARGV[i + 1] end
  at = first + size
  return fields, first
end

local function expire(key, ended) call('PEXPIREAT', key, ended + RECORD_TTL) end

local agents = take_agents()
local workflow = take()
local w, w_first = take_fields()
local w_last, wkey = at - 1, workflow_key(workflow)
if workflow ~= '' and call('EXISTS', wkey) == 1 then return {'exists'} end
local ended = FINAL[w.status] and tonumber(w.finished)
for hash, json in pairs(agents) do
  local key = P .. 'agent:' .. hash
  call('HSETNX', key, 'json', json)
  if tonumber(call('HGET', key, 'active') or 0) <= 0 then call('PEXPIRE', key, RECORD_TTL) end
end

-- Write one task; false when it is there.
local function restore(id, delay, unique, value, done, f, first)
  local key, final = P .. 'task:' .. id, FINAL[f.status]
  if call('EXISTS', key) == 1 then return false end
  call('HSET', key, unpack(ARGV, first, at - 1))
  -- The token of a run from before must not be that of one to come.
  call('HSET', key, 'run', now)
  if not final or (workflow ~= '' and not ended) then hold_agent(f.agent, 1) end
  if unique ~= '' then call('SET', P .. 'key:' .. unique, id) end
  if value ~= '' then write_result(id, RESULTS[f.status], done, value, 'null', true) end
  local score = final and tonumber(f.finished) or now
  call('ZADD', P .. 'status:' .. f.status, score, id)
  if final and workflow == '' then
    expire(key, score)
    expire(result_key(id), score)
    if unique ~= '' then expire(P .. 'key:' .. unique, score) end
  elseif workflow == '' then
    event('task.restored', id, 'name', f.name)
    local due = tonumber(f.created) + delay
    if due > now then schedule_push(id, due) else push(id) end
  end
  return true
end

local existing, open, cause, since = {'ok'}, {}, nil, math.huge
for _ = 1, tonumber(take()) do
  local id, delay, unique, value, done = take(), tonumber(take()), take(), take(), take()
  local f, first = take_fields()
  if not restore(id, delay, unique, value, done, f, first) then
    existing[#existing + 1] = id
    f.status = call('HGET', P .. 'task:' .. id, 'status')
  end
  if workflow ~= '' then
    call('RPUSH', wkey .. ':tasks', id)
    if not FINAL[f.status] then open[#open + 1] = id end
    local bad = f.status == 'failed' or (f.status == 'cancelled' and f.skip ~= 'out')
    if bad and not f.soft and tonumber(f.finished or now) < since then
      cause, since = cause_of(id, f.name, f.status, f.error), tonumber(f.finished or now)
    end
    if ended then
      expire(P .. 'task:' .. id, ended)
      expire(result_key(id), ended)
    end
  end
end
if workflow == '' then return existing end

call('HSET', wkey, 'open', #open, unpack(ARGV, w_first, w_last))
call('ZADD', P .. 'wstatus:' .. w.status, ended or now, workflow)
if ended then
  expire(wkey, ended)
  expire(wkey .. ':tasks', ended)
  return existing
end
if cause then call('HSETNX', wkey, 'cause', cause) end
if w.deadline then call('ZADD', P .. 'deadlines', tonumber(w.created) + tonumber(w.deadline), workflow) end
event('workflow.restored', workflow, 'name', w.name, 'tasks', #open)
local reasons = {}
for _, id in ipairs(open) do
  local r = call('HMGET', P .. 'task:' .. id, 'name', 'wake')
  event('task.restored', id, 'name', r[1])
  if r[2] then schedule_push(id, tonumber(r[2])) end
  reasons[id] = recount(id)
end
for _, id in ipairs(open) do weigh(id, reasons[id] or 'its branch was not taken') end
if #open == 0 then finalize(workflow) end
return existing
