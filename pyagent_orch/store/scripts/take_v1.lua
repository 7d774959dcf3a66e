-- take: fill a worker's free slots from its queues, in one step with what makes them safe.
-- uses: claim held
--
-- A message of ours is claimed at once: from here on its record says who runs it. Any other one
-- is held by the worker's lease. So no message is ever in nobody's hands.
--
-- ARGV: worker's lease id, worker's name, now in ISO 8601, number of free slots,
--       number of priorities, then number and tags of messages that are done, number and tags of
--       messages to put back, number and names of queues, the one whose turn it is first.
-- Returns {what was claimed, each as {queue, id, run, ...} like `claim`, with
--       a preview of the input or '' at the end,
--       what else was taken, each as {queue, text},
--       what started no run, each as {queue, text, id, why, status or ''},
--       '1' if there is more, 'unleased' if nothing was taken for want of a lease, or ''}.

local worker, name, done, room, priorities = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local at = 6
local function list_of()
  local first = at + 1
  at = first + tonumber(ARGV[at])
  return first, at - 1
end

local first, last = list_of()
if first <= last then call('HDEL', held_key(worker), unpack(ARGV, first, last)) end
first, last = list_of()
for i = first, last do restore_message(worker, ARGV[i]) end
first, last = list_of()
-- Nobody would look for what is taken without a lease, by a worker that starts or was frozen.
if room > 0 and not lease(worker) then return {{}, {}, {}, 'unleased'} end

local claimed, others, dropped = {}, {}, {}
-- Copies of what is final take no slot; but an act must not go on for ever over them.
local pops = room + 200

-- What our own acts push begins like this, and has nothing but its id to say.
local function id_of(text)
  if string.sub(text, 1, #MESSAGE_HEAD) ~= MESSAGE_HEAD then return nil end
  return string.match(text, '^[^"\\]+', #MESSAGE_HEAD + 1)
end

local function tag_of(text)
  local ok, envelope = pcall(cjson.decode, text)
  local properties = ok and type(envelope) == 'table' and envelope.properties
  return type(properties) == 'table' and type(properties.delivery_tag) == 'string' and properties.delivery_tag
end

-- Deal with a message; returns whether it takes a slot.
local function take(queue, list, text)
  local id = id_of(text)
  if id then
    local reply = claim(id, worker, name, done)
    if reply[1] == 'run' then
      -- What people are shown of an input that has outputs in it.
      reply[#reply + 1] = reply[3][INPUT] and '' or preview(sketch(id))
      reply[1] = id
      table.insert(reply, 1, queue)
      claimed[#claimed + 1] = reply
      return true
    end
    dropped[#dropped + 1] = {queue, text, id, reply[1], reply[2] or ''}
    return false
  end
  local tag = tag_of(text)
  if tag then hold(worker, tag, list, text) end
  others[#others + 1] = {queue, text}
  return true
end

local lists = {}
for i = first, last do lists[#lists + 1] = C .. ARGV[i] end

-- From the highest priority to the lowest; within one, each queue in its turn.
local step = 0
while step < priorities and room > 0 and pops > 0 do
  local suffix = step > 0 and SEPARATOR .. step or ''
  local left = #lists
  while left > 0 and room > 0 and pops > 0 do
    left = 0
    -- A queue that stands alone need not take turns.
    local count = #lists == 1 and math.min(room, pops) or 1
    for i, list in ipairs(lists) do
      if room <= 0 or pops <= 0 then
        left = left + 1
        break
      end
      local texts = call('RPOP', list .. suffix, count) or {}
      for _, text in ipairs(texts) do
        if take(ARGV[first + i - 1], list .. suffix, text) then room = room - 1 end
      end
      pops = pops - #texts
      if #texts == count then left = left + 1 end
    end
  end
  if left == 0 then step = step + 1 end
end

-- Whoever leaves something behind wakes the next; who does not takes the bells back.
local more = ''
if step < priorities then
  for i = first, last do
    for priority = step, priorities - 1 do
      if call('EXISTS', C .. ARGV[i] .. (priority > 0 and SEPARATOR .. priority or '')) == 1 then
        ring(ARGV[i])
        more = '1'
        break
      end
    end
  end
elseif first <= last then
  local bells = {}
  for i = first, last do bells[#bells + 1] = bell(ARGV[i]) end
  call('DEL', unpack(bells))
end
return {claimed, others, dropped, more}
