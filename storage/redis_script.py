"""The scripts that run inside Redis: whole batches applied atomically, each operation guarded.

`APPLY` carries out operations of `storage.operations` and moves positions in the same step. It changes nothing at all when a position is
missing or lower than where the batch begins (Redis was flushed, or went back): it answers the names of those partitions.
"""

_READY = """
local function settle(expected)
  if expected > 0 and redis.call('HLEN', KEYS[2]) == 0 and redis.call('HLEN', KEYS[1]) >= expected then
    redis.call('SET', KEYS[3], '1')
  end
end
"""

APPLY = (
    _READY
    + """
local limits, operations, positions, touched, expected = unpack(cmsgpack.unpack(ARGV[1]))
local lost = {}
for _, p in ipairs(positions) do
  local stored = tonumber(redis.call('HGET', KEYS[1], p[1]) or -1)
  if stored < p[2] then lost[#lost + 1] = p[1] end
end
if #lost > 0 then return lost end

local function keep(key, offset, value, indexes, member)
  local known = redis.call('HMGET', key, 'offset', 'indexes', 'member')
  if known[1] and tonumber(known[1]) >= offset then return end
  if known[2] and known[2] ~= '' then
    for index in string.gmatch(known[2], '[^\\n]+') do redis.call('ZREM', index, known[3]) end
  end
  redis.call('HSET', key, 'offset', offset, 'value', value, 'indexes', table.concat(indexes, '\\n'), 'member', member)
  for _, index in ipairs(indexes) do redis.call('ZADD', index, 0, member) end
end

local function lane(key, offset, value, field)
  local known = redis.call('HGET', key, field)
  if known and tonumber(string.match(known, '^%d+')) >= offset then return end
  redis.call('HSET', key, field, string.format('%.0f ', offset) .. value)
end

local function add(key, score, member, limit)
  redis.call('ZADD', key, score, member)
  redis.call('ZREMRANGEBYRANK', key, 0, -limit - 1)
  redis.call('EXPIRE', key, limits[2])
end

local function bound(key, field, value, lower)
  local known = tonumber(redis.call('HGET', key, field))
  if not known or (lower and value < known) or (not lower and value > known) then redis.call('HSET', key, field, value) end
end

local whole_runs, prefix = KEYS[10], string.match(KEYS[10], '^[^:]*:')

local function thin(run)
  local reach_key, highest = prefix .. 'reach:' .. run, -1
  local reach = redis.call('HGETALL', reach_key)
  for i = 1, #reach, 2 do
    if string.match(reach[i], ':high$') then highest = math.max(highest, tonumber(reach[i + 1])) end
  end
  for _, kind in ipairs({'predictions:', 'offsets:', 'redriven:'}) do redis.call('DEL', prefix .. kind .. run) end
  if highest >= 0 then bound(reach_key, 'floor', highest + 1, false) end
end

local function touch(run, at)
  if at <= tonumber(redis.call('ZSCORE', whole_runs, run) or -1) then return end
  redis.call('ZADD', whole_runs, at, run)
  while redis.call('ZCARD', whole_runs) > limits[4] do thin(redis.call('ZPOPMIN', whole_runs)[1]) end
end

local function answers(key, reach_key, offsets_key, entries, reach, starts, dropped, at)
  for _, entry in ipairs(entries) do redis.call('ZADD', key, entry[1], entry[2]) end
  local trimmed = redis.call('ZREMRANGEBYRANK', key, 0, -limits[1] - 1)
  for _, r in ipairs(reach) do
    local name = string.format('%.0f:', r[1])
    bound(reach_key, name .. 'low', r[2], true)
    bound(reach_key, name .. 'high', r[3], false)
  end
  if trimmed > 0 or dropped then bound(reach_key, 'floor', tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]), false) end
  for _, start in ipairs(starts) do
    local known = redis.call('HGET', offsets_key, start[1])
    if not known or start[4] < tonumber(string.match(known, '%d+$')) then
      redis.call('HSET', offsets_key, start[1], string.format('%.0f %.0f %.0f', start[2], start[3], start[4]))
    end
  end
  redis.call('EXPIRE', key, limits[2])
  redis.call('EXPIRE', reach_key, limits[2])
  redis.call('EXPIRE', offsets_key, limits[3])
  touch(string.sub(key, #prefix + #'predictions:' + 1), at)
end

local letters, facts, values, marks, older_letters = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]

local function letter(id, member, fact, value, limit)
  if redis.call('ZADD', letters, 'NX', 0, member) == 0 then return end
  redis.call('HSET', facts, id, fact)
  redis.call('HSET', values, id, value)
  for _ = limit + 1, redis.call('ZCARD', letters) do
    local gone = string.sub(redis.call('ZPOPMIN', letters)[1], 18)
    redis.call('HDEL', facts, gone)
    redis.call('HDEL', values, gone)
    redis.call('HDEL', marks, gone)
    redis.call('SET', older_letters, '1')
  end
end

local function mark(id, order, value)
  if redis.call('HEXISTS', facts, id) == 0 then return end
  local known = redis.call('HGET', marks, id)
  if known and tonumber(string.match(known, '^%d+')) >= order then return end
  redis.call('HSET', marks, id, string.format('%.0f ', order) .. value)
end

local function listed(index, run, member)
  if redis.call('HSETNX', prefix .. 'foreign-runs', run, member) == 1 then redis.call('ZADD', index, 0, member) end
end

local function older() redis.call('SET', older_letters, '1') end

local carry_out = {keep = keep, lane = lane, add = add, answers = answers, letter = letter, mark = mark, listed = listed, older = older}
for _, operation in ipairs(operations) do carry_out[operation[1]](unpack(operation, 2)) end
for _, p in ipairs(positions) do
  local stored = tonumber(redis.call('HGET', KEYS[1], p[1]))
  if p[3] > stored then redis.call('HSET', KEYS[1], p[1], p[3]) end
  local target = redis.call('HGET', KEYS[2], p[1])
  if target and tonumber(target) <= math.max(stored, p[3]) then redis.call('HDEL', KEYS[2], p[1]) end
end
settle(expected)
if touched ~= '' then redis.call('PUBLISH', KEYS[4], touched) end
return lost
"""
)
"""KEYS: positions, rebuilding, ready, changes, the five of dead letters, whole runs. ARGV: MessagePack (without its `bin` type, which
Redis 6 cannot read) of [[predictions kept, seconds kept, seconds that offsets are kept, runs kept whole], operations,
[[topic:partition, first, next]], touched ids, partitions expected (0: leave `ready`)]. Answers the lost partitions.

A run whose predictions are thinned keeps its reach with a floor above all of them: what a projector that was frozen writes late is never
taken for whole.
"""

BEGIN = (
    _READY
    + """
local name, start, target, expected = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local former, tolerance = tonumber(ARGV[5]), tonumber(ARGV[6])
local stored = tonumber(redis.call('HGET', KEYS[1], name))
local goal = former
if not stored then
  redis.call('HSET', KEYS[1], name, start)
  stored, goal = start, target
elseif target - stored > tolerance then
  goal = target
end
if stored < goal then
  redis.call('HSET', KEYS[2], name, goal)
  redis.call('DEL', KEYS[3])
else
  settle(expected)
end
return stored
"""
)
"""Place a partition. KEYS: positions, rebuilding, ready. ARGV: topic:partition, where to start and what to reach when there is no position,
partitions expected, the position known formerly (0: none), how many records the view may lag and still be shown. Answers where to read."""
