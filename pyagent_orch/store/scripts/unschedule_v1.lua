-- unschedule: remove a scheduled job. Its runs go on.
--
-- ARGV: id. Returns 1, or 0 when there is none.

local id = ARGV[1]
local key = P .. 'job:' .. id
local name = call('HGET', key, 'name')
if not name then return 0 end
call('DEL', key, key .. ':runs', key .. ':waiting')
for _, set in ipairs({'jobs', 'jobs:due', 'jobs:waiting'}) do call('ZREM', P .. set, id) end
event('job.removed', id, 'name', name)
return 1
