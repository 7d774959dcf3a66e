-- The only way into RUNNING, for the acts that claim (`-- uses: claim`).
--
-- `worker`, `name`: the worker's lease id and name; `done`: now in ISO 8601.
-- Returns {'run', run, the values of FIELDS, agent JSON, id, status and output or error
--       and usage or '' of each task it depends on, ms since it first started, ms since it was
--       queued, of what is traced and else 0} or, refused,
--       {'missing'}, {'held'}, {'early'} or
--       {'final', status, output or false}.

local function claim(id, worker, name, done)
  local key = P .. 'task:' .. id
  local r = call('HMGET', key, 'status', 'owner', 'queue', 'priority', 'agent', 'name', 'worker', 'workflow', 'ready', 'deps',
    'run', 'attempts', 'started', 'wake', unpack(FIELDS))
  local status = r[1]
  if not status then return {'missing'} end
  if FINAL[status] then return {'final', status, status == 'completed' and read_output(id)} end
  if status == 'running' then
    if lease(r[2]) then return {'held'} end
    -- After an outage the message may be a copy, and its worker be about to renew. The sweep decides.
    if was_away(tonumber(call('GET', P .. 'swept') or '0')) then return {'held'} end
    -- Its worker is dead and nobody has swept yet. This message becomes the new push.
    if not lose(id, r[7] or '', done) then return {'final', 'failed', false} end
    status = 'pending'
  end
  -- Not before its delay is over, and not before all it depends on is recorded.
  if call('ZSCORE', P .. 'delayed', id) then return {'early'} end
  if r[8] and not r[9] and not (r[14] and tonumber(r[14]) <= now) then return {'early'} end

  local run, attempt = (r[11] or 0) + 1, (r[12] or 0) + 1
  call('HSET', key, 'status', 'running', 'owner', worker, 'worker', name, 'run', run, 'attempts', attempt,
    'started', r[13] or now)
  local queued = r[14 + TRACE] and call('ZSCORE', queue_index(r[3], r[4]), id)
  unqueue(id, r[3], r[4])
  call('SADD', P .. 'running:' .. worker, id)
  move(id, status, 'running')
  event('task.started', id, 'name', r[6], 'attempt', attempt, 'worker', name)
  if r[8] and call('HSETNX', workflow_key(r[8]), 'started', now) == 1 then
    call('HSET', workflow_key(r[8]), 'status', 'running')
    move_workflow(r[8], 'pending', 'running')
    event('workflow.started', r[8], 'name', call('HGET', workflow_key(r[8]), 'name'))
  end
  local inputs = {}
  if r[10] then
    for dependency in pairs(cjson.decode(r[10])) do
      local state = call('HGET', P .. 'task:' .. dependency, 'status')
      inputs[#inputs + 1] = dependency
      inputs[#inputs + 1] = state
      inputs[#inputs + 1] = state == 'completed' and read_output(dependency)
        or call('HGET', P .. 'task:' .. dependency, 'error')
      inputs[#inputs + 1] = call('HGET', P .. 'task:' .. dependency, 'usage') or ''
    end
  end
  local fields = {}
  for i, field in ipairs(FIELDS) do fields[i] = field == 'attempts' and tostring(attempt) or r[14 + i] end
  return {'run', run, fields, call('HGET', P .. 'agent:' .. r[5], 'json'), inputs, now - (r[13] or now),
    queued and math.max(1, now - queued) or 0}
end
