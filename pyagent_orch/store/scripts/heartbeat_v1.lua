-- heartbeat: a worker renews its lease, learns what to stop, and does what is
-- due for the whole fleet: delayed tasks, and every SWEEP_MS (by whoever comes
-- first) the healing and the pruning.
-- uses: held
--
-- ARGV: worker's lease id, worker's name, what it is as JSON, now in ISO 8601,
--       number of ids it has taken from queues, those ids.
-- Returns {ms until the next delayed task or '', ids to stop, ids that the record
--       says this worker runs, tags of other messages that its lease holds}.

local newer = newer_layout()
if newer then return newer end
call('SET', P .. 'layout', LAYOUT)

local worker, name, done = ARGV[1], ARGV[2], ARGV[4]
local old_lease = call('ZSCORE', P .. 'workers', worker)
call('ZADD', P .. 'workers', now + LEASE_MS, worker)
local held = {}
for i = 6, 5 + tonumber(ARGV[5]) do held[#held + 1] = ARGV[i] end
call('HSET', P .. 'worker:' .. worker, 'name', name, 'info', ARGV[3], 'held', table.concat(held, ' '), 'seen', now,
  'clock', done)
call('PEXPIRE', P .. 'worker:' .. worker, RECORD_TTL)
if not old_lease then event('worker.online', name, 'info', ARGV[3]) end

-- A flow that goes on comes before the turns that it waited for, as in joins.lua.
local function push_in_turn(id)
  if call('HGET', P .. 'task:' .. id, 'expanded') then push_first(id) else push(id) end
end

for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'delayed', '-inf', now, 'LIMIT', 0, 500)) do
  call('ZREM', P .. 'delayed', id)
  local status = call('HGET', P .. 'task:' .. id, 'status')
  if status and not FINAL[status] then push_in_turn(id) end
end

for _, workflow in ipairs(call('ZRANGEBYSCORE', P .. 'deadlines', '-inf', now, 'LIMIT', 0, 20)) do
  call('ZREM', P .. 'deadlines', workflow)
  local status = call('HGET', workflow_key(workflow), 'status')
  if status == 'pending' or status == 'running' then cancel_workflow(workflow, 'its deadline passed', done) end
end

-- After an outage of Redis every lease looks old, and everybody may renew first: for how
-- long, ms? A sweeper that finds its own lease run out, or a server that has just started,
-- is sure. A new worker cannot tell an outage from a fleet that died, and waits half as long.
local function grace(last)
  if now - last <= LEASE_MS / 2 then return 0 end
  if old_lease and tonumber(old_lease) < now then return LEASE_MS end
  local uptime = string.match(call('INFO', 'server'), 'uptime_in_seconds:(%d+)')
  if tonumber(uptime) * 1000 < LEASE_MS then return LEASE_MS end
  return (was_away(last) and not old_lease) and LEASE_MS / 2 or 0
end

local function bury(dead)
  local dead_name = call('HGET', P .. 'worker:' .. dead, 'name') or dead
  local tasks = call('SRANDMEMBER', P .. 'running:' .. dead, 500)
  for _, id in ipairs(tasks) do
    local r = call('HMGET', P .. 'task:' .. id, 'status', 'owner')
    if r[1] == 'running' and r[2] == dead then lose(id, dead_name, done) end
    call('SREM', P .. 'running:' .. dead, id)
  end
  restore_messages(dead)
  if call('SCARD', P .. 'running:' .. dead) == 0 then
    call('ZREM', P .. 'workers', dead)
    call('DEL', P .. 'worker:' .. dead, P .. 'running:' .. dead, P .. 'cancels:' .. dead)
    bump('worker_lost')
    event('worker.lost', dead_name, 'tasks', #tasks)
  end
end

local function message_id(text)
  local ok, envelope = pcall(cjson.decode, text)
  return ok and type(envelope) == 'table' and type(envelope.headers) == 'table' and envelope.headers.id
end

-- Queues are first in, first out: what was queued before the oldest message
-- that is still there has been taken. Older than which time?
local function taken_before(index, list)
  if call('LLEN', list) == 0 then return '+inf' end
  local cutoff
  for _, text in ipairs(call('LRANGE', list, -20, -1)) do
    local id = message_id(text)
    local score = id and call('ZSCORE', index, id)
    -- The range runs from newer to older; the last one found is the oldest.
    if score then cutoff = '(' .. score end
  end
  return cutoff
end

local function held_by_the_living()
  local ids = {}
  for _, living in ipairs(call('ZRANGEBYSCORE', P .. 'workers', now, '+inf')) do
    for id in string.gmatch(call('HGET', P .. 'worker:' .. living, 'held') or '', '%S+') do ids[id] = true end
  end
  return ids
end

-- Push again what was taken from its queue and is held by no living worker. A
-- task is suspected first, so that whoever has just taken it can say so.
local function find_lost_messages()
  local living
  for _, entry in ipairs(call('SMEMBERS', P .. 'queues')) do
    local queue, priority = string.match(entry, '^(.*):(%d+)$')
    local index = queue_index(queue, priority)
    local list = C .. queue
    if tonumber(priority) > 1 then list = list .. SEPARATOR .. (tonumber(priority) - 1) end
    local cutoff = taken_before(index, list)
    local suspects = cutoff and call('ZRANGEBYSCORE', index, '-inf', cutoff, 'LIMIT', 0, 500) or {}
    for _, id in ipairs(suspects) do
      living = living or held_by_the_living()
      local since = call('ZSCORE', P .. 'suspects', id)
      local status = call('HGET', P .. 'task:' .. id, 'status')
      if status ~= 'pending' and status ~= 'retrying' then
        call('ZREM', index, id)
      elseif living[id] then
        call('ZREM', P .. 'suspects', id)
      elseif not since then
        call('ZADD', P .. 'suspects', now, id)
      elseif now - since >= SUSPECT_MS then
        call('ZREM', P .. 'suspects', id)
        push_in_turn(id)
        bump('recovered', 'message_lost')
        event('task.recovered', id, 'name', call('HGET', P .. 'task:' .. id, 'name'), 'worker', '')
      end
    end
    if #suspects == 0 and call('EXISTS', index) == 0 then call('SREM', P .. 'queues', entry) end
  end
  call('ZREMRANGEBYSCORE', P .. 'suspects', '-inf', now - 20 * SUSPECT_MS)
end

if call('SET', P .. 'sweeping', worker, 'NX', 'PX', SWEEP_MS) then
  local last = tonumber(call('GETSET', P .. 'swept', now) or '0')
  local more = grace(last)
  if more > 0 then
    for _, other in ipairs(call('ZRANGE', P .. 'workers', 0, -1)) do
      call('ZADD', P .. 'workers', 'GT', now + more, other)
    end
  else
    for _, dead in ipairs(call('ZRANGEBYSCORE', P .. 'workers', '-inf', '(' .. now)) do bury(dead) end
    find_lost_messages()
  end
  for status in pairs(FINAL) do
    call('ZREMRANGEBYSCORE', P .. 'status:' .. status, '-inf', now - RECORD_TTL)
    call('ZREMRANGEBYSCORE', P .. 'wstatus:' .. status, '-inf', now - RECORD_TTL)
  end
end

local cancels = call('LRANGE', P .. 'cancels:' .. worker, 0, -1)
if #cancels > 0 then call('DEL', P .. 'cancels:' .. worker) end
local due = call('ZRANGE', P .. 'delayed', 0, 0, 'WITHSCORES')
return {
  due[2] and tostring(math.max(0, tonumber(due[2]) - now)) or '',
  cancels, call('SMEMBERS', P .. 'running:' .. worker), call('HKEYS', held_key(worker)),
}
