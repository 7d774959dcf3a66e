-- Messages of other tasks than ours, for the acts that take and give them back (`-- uses: held`).
--
-- No record stands behind the message of a plain Celery task, or of one in a Celery canvas: so the
-- worker's lease holds the message itself, from the act that takes it to the one that lets it go.

local function held_key(worker) return P .. 'messages:' .. worker end

local function hold(worker, tag, list, text)
  call('HSET', held_key(worker), tag, list .. '\n' .. text)
end

-- Put a message back before all others of its queue. Celery marks what comes again.
local function restore_message(worker, tag, queue)
  local entry = call('HGET', held_key(worker), tag)
  if not entry then return end
  call('HDEL', held_key(worker), tag)
  local list, text = string.match(entry, '^([^\n]*)\n(.*)$')
  if not string.find(text, '"redelivered": true', 1, true) then
    text = string.gsub(text, '"delivery_info": {(.)', function(following)
      return '"delivery_info": {"redelivered": true' .. (following == '}' and '' or ', ') .. following
    end, 1)
  end
  call('RPUSH', list, text)
  ring(string.match(string.sub(list, #C + 1), '^(.-)' .. SEPARATOR .. '%d+$') or string.sub(list, #C + 1))
end

local function restore_messages(worker)
  for _, tag in ipairs(call('HKEYS', held_key(worker))) do restore_message(worker, tag) end
end
