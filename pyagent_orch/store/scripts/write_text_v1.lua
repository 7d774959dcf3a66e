-- write_text: a running attempt has written more text.
--
-- ARGV: id, run, part, how many bytes of the part come before, text, ms that the text is kept.
-- The key is a line with run and part, and the text behind it: so that what is written, here
-- and to the append-only file, is only what is new.
-- Returns {'ok', bytes that the part has now}, {'gap', likewise} (those before the offset are
-- not all there) or {'stale'} (it is not the task's present run; nothing is written).

local id, run, part, offset, text = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local r = call('HMGET', P .. 'task:' .. id, 'status', 'run', 'workflow')
if r[1] ~= 'running' or r[2] ~= run then return {'stale'} end

local key, mark, have = P .. 'text:' .. id, run .. '.' .. part, 0
if call('GETRANGE', key, 0, #mark) == mark .. '\n' then
  have = call('STRLEN', key) - #mark - 1
else
  call('SET', key, mark .. '\n')
end
call('PEXPIRE', key, ARGV[6])
if offset > have then return {'gap', have} end
-- A repeat, whose answer was lost on the way, adds nothing.
text = string.sub(text, have - offset + 1)
if text ~= '' then
  call('APPEND', key, text)
  local said = id .. ' ' .. mark .. ':' .. have .. '\n' .. text
  call('PUBLISH', key, said)
  if r[3] then call('PUBLISH', P .. 'text:' .. r[3], said) end
end
return {'ok', have + #text}
