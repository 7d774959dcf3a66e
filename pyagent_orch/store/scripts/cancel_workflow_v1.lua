-- cancel_workflow: cancel all that is not final, also what runs and what was spawned.
--
-- ARGV: id, reason, now in ISO 8601.
-- Returns {'missing'}, {'final', status} or {'ok'}.

local workflow, reason, done = ARGV[1], ARGV[2], ARGV[3]
local key = workflow_key(workflow)
local status = call('HGET', key, 'status')
if not status then return {'missing'} end
if status ~= 'pending' and status ~= 'running' then return {'final', status} end
cancel_workflow(workflow, reason, done)
return {'ok'}
