-- read_text: what a task has written, and how it stands.
--
-- ARGV: id, run and part that the reader has as `run.part`, how many bytes of it.
-- Returns {status or '', run, mark (`run.part`) of the text or '', offset, text from there,
--          output if the task is completed, workflow or ''}. The text is whole, offset 0,
--          unless it is the reader's own and the task is not completed.

local id, mark = ARGV[1], ''
local r = call('HMGET', P .. 'task:' .. id, 'status', 'run', 'workflow')
local text, from = call('GET', P .. 'text:' .. id) or '', 0
local stop = string.find(text, '\n', 1, true)
if stop then mark, text = string.sub(text, 1, stop - 1), string.sub(text, stop + 1) end
local done = r[1] == 'completed'
if mark ~= '' and mark == ARGV[2] and not done then
  from = math.min(tonumber(ARGV[3]), #text)
  -- Never in the middle of a character, whatever the reader asks for.
  while from < #text do
    local byte = string.byte(text, from + 1)
    if byte < 128 or byte > 191 then break end
    from = from + 1
  end
  text = string.sub(text, from + 1)
end
return {r[1] or '', r[2] or '0', mark, from, text, done and read_output(id), r[3] or ''}
