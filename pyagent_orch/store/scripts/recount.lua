-- Counting anew how what a task depends on ended, for the acts that take tasks up again
-- (`-- uses: recount`). Behind joins.lua.

-- Writes the counts that `weigh` looks at. Returns why the task may never start, or nil.
local function recount(id)
  local task = P .. 'task:' .. id
  local r = call('HMGET', task, 'deps', 'rescues', 'afters')
  local counts, reason = {ok = 0, bad = 0, out = 0}, nil
  -- What runs on failure depends on nothing else.
  for dependency in pairs(r[2] and {} or cjson.decode(r[1] or '{}')) do
    local d = call('HMGET', P .. 'task:' .. dependency, 'status', 'skip', 'name', 'error')
    if d[1] == 'completed' then counts.ok = counts.ok + 1
    elseif d[1] and FINAL[d[1]] and d[2] == 'out' then counts.out = counts.out + 1
    elseif d[1] and FINAL[d[1]] then
      counts.bad = counts.bad + 1
      reason = cause_of(dependency, d[3], d[1], d[4])
    end
  end
  for dependency in ids_of(r[2]) do
    local status = call('HGET', P .. 'task:' .. dependency, 'status')
    if status == 'failed' then counts.ok = counts.ok + 1
    elseif status and FINAL[status] then counts.out = counts.out + 1 end
  end
  local blocked = 0
  for earlier in ids_of(r[3]) do
    if not FINAL[call('HGET', P .. 'task:' .. earlier, 'status') or ''] then blocked = blocked + 1 end
  end
  call('HSET', task, 'ok', counts.ok, 'bad', counts.bad, 'out', counts.out, 'blocked', blocked)
  return reason
end
