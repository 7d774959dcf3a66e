-- restore_job: write a scheduled job that Redis has lost, as a state file has it. What was due
-- meanwhile is dealt with as any due time that nobody was there for.
--
-- ARGV: id, next due time in ms or '', field/value strings ('name' and 'created' among them).
-- Returns {'exists'} when the job is there (nothing is written), else {'ok'}.

local id, due = ARGV[1], ARGV[2]
local key = P .. 'job:' .. id
if call('EXISTS', key) == 1 then return {'exists'} end
call('HSET', key, unpack(ARGV, 3))
local j = call('HMGET', key, 'name', 'created', 'ended')
call('ZADD', P .. 'jobs', j[2], id)
if due ~= '' then call('ZADD', P .. 'jobs:due', due, id) end
if j[3] then call('PEXPIREAT', key, tonumber(j[3]) + RECORD_TTL) end
event('job.restored', id, 'name', j[1])
return {'ok'}
