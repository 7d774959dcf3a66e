-- claim: take a task whose message came another way than by `take`.
-- uses: claim
--
-- ARGV: id, worker's lease id, worker's name, now in ISO 8601.
-- Returns what `claim` does.

-- Nobody would look for what is claimed without a lease. The sweep finds the message.
if not lease(ARGV[2]) then return {'held'} end
return claim(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
