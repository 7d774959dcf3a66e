-- finish: the only way to an output. The first recorded result wins.
--
-- ARGV, for each of one or several runs: id, run, worker's lease id, output as JSON,
--       usage as JSON or '', now in ISO 8601, '1' if a plain Celery canvas goes on from this
--       message or ''.
-- Returns for one {'ok'} or {'missing'} or {'final', status, output or false}; for several a
--       list of these.

local function finish(id, run, worker, output, usage, done, canvas)
  local key = P .. 'task:' .. id
  local r = call('HMGET', key, 'status', 'owner', 'run', 'name', 'attempts', 'worker', 'error', 'cancel_rest')
  local status = r[1]
  -- What its owner runs, `close` takes away.
  if status ~= 'running' or r[2] ~= worker then call('SREM', P .. 'running:' .. worker, id) end
  if not status then return {'missing'} end
  if FINAL[status] then return {'final', status, status == 'completed' and read_output(id)} end

  -- The answer of an attempt that was taken for dead is as good as any: it is
  -- paid for. Should another attempt be running by now, that one is stopped.
  if r[2] and r[3] ~= run then
    call('RPUSH', P .. 'cancels:' .. r[2], id)
  end
  led_on = canvas == '1'
  local workflow
  if usage ~= '' then
    count_usage(id, usage)
    workflow = close(id, status, 'completed', 'usage', usage)
  else
    workflow = close(id, status, 'completed')
  end
  if r[7] then call('HDEL', key, 'error') end
  write_result(id, 'SUCCESS', done, output, 'null', workflow)
  event('task.completed', id, 'name', r[4], 'attempt', r[5] or '0', 'worker', r[6] or '')
  if r[8] == 'end' then cancel_rest(id) end
  if workflow then spread(id, 'ok') end
  return {'ok'}
end

if #ARGV == 7 then return finish(unpack(ARGV)) end
local replies = {}
for i = 1, #ARGV, 7 do replies[#replies + 1] = finish(unpack(ARGV, i, i + 6)) end
return replies
