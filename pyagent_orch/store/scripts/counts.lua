-- Counters for metrics, kept by the acts that do what they count. Behind lib.lua in each act;
-- read by store/metrics.py, named in docs/metrics.md.
--
-- One hash, `metrics`, whatever the number of tasks. A field is `what|a|b|label`, the label
-- last since it is free text. Labels are bounded: those that come when so many are there (`admit`)
-- count under OTHER.

local M, OTHER = P .. 'metrics', '(other)'

local function admit(what, label)
  local most = ({attempt = 200, usage = 200, failure = 100, submitted = 100})[what] or 1
  local known = 'known|' .. what .. '||'
  if call('HEXISTS', M, known .. label) == 1 then return true end
  if call('HINCRBY', M, 'labels|' .. what .. '||', 1) > most then
    call('HINCRBY', M, 'labels|' .. what .. '||', -1)
    return false
  end
  call('HSET', M, known .. label, 1)
  return true
end

-- Add to a counter; returns the label that it counts under.
count = function(what, a, b, label, by)
  local field = what .. '|' .. a .. '|' .. b .. '|'
  -- Only a new field can have a new label, so that what is known costs one call.
  if call('HINCRBY', M, field .. label, by) == by and not admit(what, label) then
    call('HDEL', M, field .. label)
    call('HINCRBY', M, field .. OTHER, by)
    return OTHER
  end
  return label
end

-- Add to a counter without a free label.
bump = function(what, a, by)
  call('HINCRBY', M, what .. '|' .. (a or '') .. '||', by or 1)
end

-- Put a time into a histogram: one of its buckets (not cumulative), and the sum.
observe = function(what, a, label, ms)
  label = count(what, a, bucket(ms), label, 1)
  call('HINCRBY', M, what .. '_ms|' .. a .. '||' .. label, ms)
end

-- A running task's attempt ends; `how` in one word. Before the task moves on: when it became
-- RUNNING is its place in the listing.
observe_attempt = function(id, how, name)
  local since = call('ZSCORE', P .. 'status:running', id)
  observe('attempt', how, preview(name or ''), since and math.max(0, now - since) or 0)
end

-- What a failure is called, of an error that may be long: not decoded for that. Inside a JSON
-- string a quote has a backslash before it, so this finds the key and nothing else.
count_failure = function(error_json, outcome)
  local kind = string.match(error_json, '"type":"([%w_.]+)"') or ''
  count('failure', outcome, '', preview(kind), 1)
end

-- What the models of a task cost since it was counted last: `usage` is all so far, and what the
-- record has is what was counted. Before the record's is replaced. Money is in 1e-9 US dollars.
count_usage = function(id, usage)
  local u = cjson.decode(usage)
  local r = call('HMGET', P .. 'task:' .. id, 'agent', 'name', 'usage')
  local old = r[3] and cjson.decode(r[3]) or {}
  local function more(field) return (tonumber(u[field]) or 0) - (tonumber(old[field]) or 0) end
  local json = r[1] and call('HGET', P .. 'agent:' .. r[1], 'json')
  local content = json and cjson.decode(json) or {}
  -- A function that only one process has goes by its task.
  local agent = content.spec and content.spec.name or content.name or r[2]
  local model = string.gsub(type(u.model) == 'string' and u.model or '(several)', '|', '_')
  local label = preview(model) .. '|' .. preview(type(agent) == 'string' and agent or '')
  local requests = more('requests')
  label = count('usage', 'requests', '', label, requests)
  local function add(what, by)
    if by > 0 then call('HINCRBY', M, 'usage|' .. what .. '||' .. label, by) end
  end
  add('input', more('input_tokens'))
  add('output', more('output_tokens'))
  if type(u.cost_usd) == 'number' then
    add('cost', math.floor(more('cost_usd') * 1e9 + 0.5))
  else
    add('unpriced', requests)
  end
end
