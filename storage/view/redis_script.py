"""The scripts that run inside Redis: whole batches applied atomically, each operation guarded, and no key missed
unnoticed.

`APPLY` carries out operations of `storage.view.operations` and moves positions in the same step. It changes nothing at
all when a position is missing or lower than where the batch begins (Redis was flushed, or went back): it answers the
names of those partitions.

What says whether the view is whole is one hash, `storage.view.redis_keys.POSITIONS`: Redis takes whole keys away, so
all of it is there or nothing is believed. It names every key that must be there (the census, ADR 29); whichever script
misses one of them says so in it."""

_CENSUS = """
local view, ready = KEYS[1], KEYS[2]

local function condition()
  local known = redis.call('HMGET', view, 'format', 'damage', 'dropping')
  if not known[1] and not known[2] then return 'missing' end
  if known[1] ~= '1' or known[2] then return 'damaged' end
  if known[3] then
    if tonumber(known[3]) > tonumber(redis.call('TIME')[1]) then return 'dropping' end
    return 'damaged'
  end
  return ''
end

local function is_lost(key, till)
  if redis.call('EXISTS', key) == 1 then return false end
  return till == '0' or tonumber(till) > tonumber(redis.call('TIME')[1])
end

local function damage(key)
  redis.call('DEL', ready)
  redis.call('HSETNX', view, 'damage', key .. ' is gone from Redis')
end
"""

_VIEW = (
    _CENSUS
    + """
local function settle(expected)
  local known = redis.call('HMGET', view, 'rebuilding', 'placed')
  if expected > 0 and tonumber(known[1] or 0) == 0 and tonumber(known[2] or 0) >= expected then
    redis.call('SET', ready, '1')
    redis.call('HDEL', view, 'why')
  end
end

local function rebuild(name, goal)
  local known = redis.call('HGET', view, '>' .. name)
  if goal then
    redis.call('HSET', view, '>' .. name, goal)
    if not known then redis.call('HINCRBY', view, 'rebuilding', 1) end
  elseif known then
    redis.call('HDEL', view, '>' .. name)
    redis.call('HINCRBY', view, 'rebuilding', -1)
  end
end
"""
)
"""`view`: the hash; `ready`: see `redis_keys`. In `view` beside the positions: `format`; `damage`: what is missing, so
that all must be built again; `dropping`: until when somebody clears the rest away; `why`: what was missing, for people,
until the view is whole again; `placed`, `rebuilding`: how many partitions have a position, and a goal;
`>topic:partition`: that goal; `=key`: until when the key must exist, 0 for ever."""

APPLY = (
    _VIEW
    + """
local limits, operations, positions, touched, expected = unpack(cmsgpack.unpack(ARGV[1]))
local lost, now = {}, tonumber(redis.call('TIME')[1])
if condition() ~= '' then
  for _, p in ipairs(positions) do lost[#lost + 1] = p[1] end
  if #lost == 0 then lost[1] = '' end
  return lost
end
for _, p in ipairs(positions) do
  local stored = tonumber(redis.call('HGET', view, p[1]) or -1)
  if stored < p[2] then lost[#lost + 1] = p[1] end
end
if #lost > 0 then return lost end

local entered, missed = {}, false

local function enter(key)
  if entered[key] then return end
  local till = redis.call('HGET', view, '=' .. key)
  if till and is_lost(key, till) then
    damage(key)
    missed = true
  end
  entered[key] = till or ''
end

local function entry(key, seconds)
  local till = seconds and string.format('%.0f', now + seconds - 1) or '0'
  if entered[key] ~= till then redis.call('HSET', view, '=' .. key, till) end
  entered[key] = till
end

local function leave(key)
  if redis.call('EXISTS', key) == 0 then
    redis.call('HDEL', view, '=' .. key)
    entered[key] = ''
  end
end

local function remove(key)
  redis.call('DEL', key)
  leave(key)
end

local function keep(key, offset, value, indexes, member)
  enter(key)
  local known = redis.call('HMGET', key, 'offset', 'indexes', 'member')
  if known[1] and tonumber(known[1]) >= offset then return end
  if known[2] and known[2] ~= '' then
    for index in string.gmatch(known[2], '[^\\n]+') do
      enter(index)
      redis.call('ZREM', index, known[3])
      leave(index)
    end
  end
  redis.call('HSET', key, 'offset', offset, 'value', value, 'indexes', table.concat(indexes, '\\n'), 'member', member)
  entry(key)
  for _, index in ipairs(indexes) do
    enter(index)
    redis.call('ZADD', index, 0, member)
    entry(index)
  end
end

local function lane(key, offset, value, field, at, partition)
  enter(key)
  local known_at, known_offset, home = string.match(redis.call('HGET', key, field) or '', '^(%-?%d+):(%d+):(%d+) ')
  if known_at then
    known_at, known_offset = tonumber(known_at), tonumber(known_offset)
    if tonumber(home) ~= partition then return end
    if at < known_at or (at == known_at and offset <= known_offset) then return end
  end
  redis.call('HSET', key, field, string.format('%.0f:%.0f:%.0f ', at, offset, partition) .. value)
  entry(key)
end

local function add(key, score, member, limit)
  enter(key)
  redis.call('ZADD', key, score, member)
  redis.call('ZREMRANGEBYRANK', key, 0, -limit - 1)
  redis.call('EXPIRE', key, limits[2])
  entry(key, limits[2])
end

local function bound(key, field, value, lower)
  local known = tonumber(redis.call('HGET', key, field))
  if not known or (lower and value < known) or (not lower and value > known) then
    redis.call('HSET', key, field, value)
  end
end

local whole_runs, prefix = KEYS[10], string.match(KEYS[10], '^[^:]*:')

local function thin(run)
  local reach_key, highest = prefix .. 'reach:' .. run, -1
  enter(reach_key)
  local reach = redis.call('HGETALL', reach_key)
  for i = 1, #reach, 2 do
    if string.match(reach[i], ':high$') then highest = math.max(highest, tonumber(reach[i + 1])) end
  end
  for _, kind in ipairs({'predictions:', 'offsets:', 'redriven:'}) do remove(prefix .. kind .. run) end
  if highest >= 0 then bound(reach_key, 'floor', highest + 1, false) end
end

local function touch(run, at)
  enter(whole_runs)
  if at <= tonumber(redis.call('ZSCORE', whole_runs, run) or -1) then return end
  redis.call('ZADD', whole_runs, at, run)
  entry(whole_runs)
  while redis.call('ZCARD', whole_runs) > limits[4] do thin(redis.call('ZPOPMIN', whole_runs)[1]) end
end

local function answers(key, reach_key, offsets_key, entries, reach, starts, dropped, at)
  for _, name in ipairs({key, reach_key, offsets_key}) do enter(name) end
  for _, answer in ipairs(entries) do redis.call('ZADD', key, answer[1], answer[2]) end
  local trimmed = redis.call('ZREMRANGEBYRANK', key, 0, -limits[1] - 1)
  for _, r in ipairs(reach) do
    local name = string.format('%.0f:', r[1])
    bound(reach_key, name .. 'low', r[2], true)
    bound(reach_key, name .. 'high', r[3], false)
  end
  if trimmed > 0 or dropped then
    bound(reach_key, 'floor', tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]), false)
  end
  for _, start in ipairs(starts) do
    local known = redis.call('HGET', offsets_key, start[1])
    if not known or start[4] < tonumber(string.match(known, '%d+$')) then
      redis.call('HSET', offsets_key, start[1], string.format('%.0f %.0f %.0f', start[2], start[3], start[4]))
    end
  end
  for name, seconds in pairs({[key] = limits[2], [reach_key] = limits[2], [offsets_key] = limits[3]}) do
    if redis.call('EXPIRE', name, seconds) == 1 then entry(name, seconds) end
  end
  touch(string.sub(key, #prefix + #'predictions:' + 1), at)
end

local letters, facts, values, marks, older_letters = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]

local function older()
  redis.call('SET', older_letters, '1')
  entry(older_letters)
end

local function letter(id, member, fact, value, limit)
  for _, name in ipairs({letters, facts, values, marks, older_letters}) do enter(name) end
  if redis.call('ZADD', letters, 'NX', 0, member) == 0 then return end
  redis.call('HSET', facts, id, fact)
  redis.call('HSET', values, id, value)
  for _, name in ipairs({letters, facts, values}) do entry(name) end
  for _ = limit + 1, redis.call('ZCARD', letters) do
    local gone = string.sub(redis.call('ZPOPMIN', letters)[1], 18)
    redis.call('HDEL', facts, gone)
    redis.call('HDEL', values, gone)
    redis.call('HDEL', marks, gone)
    leave(marks)
    older()
  end
end

local function mark(id, order, value)
  for _, name in ipairs({facts, marks}) do enter(name) end
  if redis.call('HEXISTS', facts, id) == 0 then return end
  local known = redis.call('HGET', marks, id)
  if known and tonumber(string.match(known, '^%d+')) >= order then return end
  redis.call('HSET', marks, id, string.format('%.0f ', order) .. value)
  entry(marks)
end

local function listed(index, run, member)
  local foreign_runs = prefix .. 'foreign-runs'
  enter(foreign_runs)
  enter(index)
  local known = redis.call('HGET', foreign_runs, run)
  if known and known <= member then return end
  if known then redis.call('ZREM', index, known) end
  redis.call('HSET', foreign_runs, run, member)
  redis.call('ZADD', index, 0, member)
  entry(foreign_runs)
  entry(index)
end

local carry_out = {
  keep = keep, lane = lane, add = add, answers = answers, letter = letter, mark = mark, listed = listed, older = older,
}
for _, operation in ipairs(operations) do
  carry_out[operation[1]](unpack(operation, 2))
  if missed then break end
end
if missed then
  for _, p in ipairs(positions) do lost[#lost + 1] = p[1] end
  if #lost == 0 then lost[1] = '' end
  return lost
end
for _, p in ipairs(positions) do
  local stored = tonumber(redis.call('HGET', view, p[1]))
  if p[3] > stored then redis.call('HSET', view, p[1], p[3]) end
  local goal = redis.call('HGET', view, '>' .. p[1])
  if goal and tonumber(goal) <= math.max(stored, p[3]) then rebuild(p[1], nil) end
end
settle(expected)
if touched ~= '' then redis.call('PUBLISH', KEYS[4], touched) end
return lost
"""
)
"""KEYS: view, ready, beat, changes, the five of dead letters, whole runs. ARGV: MessagePack (without its
`bin` type, which Redis 6 cannot read) of [[predictions kept, seconds kept, seconds that offsets are kept, runs kept
whole], operations, [[topic:partition, first, next]], touched ids, partitions expected (0: leave `ready`)]. Answers the
lost partitions; an empty name when the view is not there or has just been found damaged, and no partition was named.
Then nothing counts as done.

A run whose predictions are thinned keeps its reach with a floor above all of them: what a projector that was frozen
writes late is never taken for whole.
"""

BEGIN = (
    _VIEW
    + """
local name, start, target, expected = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local former, tolerance = tonumber(ARGV[5]), tonumber(ARGV[6])
if condition() ~= '' then return -1 end
local stored = tonumber(redis.call('HGET', view, name))
local goal = former
if not stored then
  redis.call('HSET', view, name, start)
  redis.call('HINCRBY', view, 'placed', 1)
  stored, goal = start, target
elseif target - stored > tolerance then
  goal = target
end
if stored < goal then
  rebuild(name, goal)
  redis.call('DEL', ready)
else
  settle(expected)
end
return stored
"""
)
"""Place a partition. KEYS: view, ready. ARGV: topic:partition, where to start and what to reach when there is no
position, partitions expected, the position known formerly (0: none), how many records the view may lag and still be
shown. Answers where to read;
-1: there is no view to place it in."""

WHOLE = (
    _CENSUS
    + """
local function lost()
  for first = 3, #KEYS, 1000 do
    local last = math.min(first + 999, #KEYS)
    if redis.call('EXISTS', unpack(KEYS, first, last)) <= last - first then
      for i = first, last do
        local till = redis.call('HGET', view, '=' .. KEYS[i])
        if till and is_lost(KEYS[i], till) then return KEYS[i] end
      end
    end
  end
end

if redis.call('EXISTS', ready) == 0 or condition() ~= '' then
  local known = redis.call('HMGET', view, 'damage', 'why')
  return {0, known[1] or known[2] or ''}
end
local gone = lost()
if gone then
  damage(gone)
  return {0, gone .. ' is gone from Redis'}
end
return {1, ''}
"""
)
"""Whether what is read may be shown. KEYS: view, ready, and what is read. Answers 1, or 0 and what is known to be
missing."""

CHECK = (
    _VIEW
    + """
local cursor, count, expected = ARGV[1], ARGV[2], tonumber(ARGV[3])
redis.call('SET', KEYS[3], '1')
local state = condition()
if state == '' then
  local found = redis.call('HSCAN', view, cursor, 'MATCH', '=*', 'COUNT', count)
  cursor = found[1]
  for i = 1, #found[2], 2 do
    local key, till = string.sub(found[2][i], 2), found[2][i + 1]
    if redis.call('EXISTS', key) == 0 then
      if is_lost(key, till) then
        damage(key)
        state = 'damaged'
      else
        redis.call('HDEL', view, found[2][i])
      end
    end
  end
  if state == '' and redis.call('EXISTS', ready) == 0 then settle(expected) end
end
local stats = redis.pcall('INFO', 'stats')
local evicted = type(stats) == 'string' and string.match(stats, 'evicted_keys:(%d+)') or '-1'
local answer = {state, cursor, evicted}
if state == '' then
  for i = 4, #ARGV do answer[i] = redis.call('HGET', view, ARGV[i]) end
end
return answer
"""
)
"""Look after the view. KEYS: view, ready, and a key that is written, so that a Redis that takes no writes is noticed.
ARGV: where to go on in the census, how much of it to look at, partitions expected, partitions whose positions are asked
for. Answers `damaged`, `missing`, `dropping` or nothing, where to go on (0: at its end), how many keys Redis has
evicted (-1: it does not say), and, if it is nothing, the positions."""

DROP = (
    _VIEW
    + """
local known = redis.call('HMGET', view, 'damage', 'why')
local state = condition()
if state ~= 'damaged' and state ~= 'missing' then return 0 end
redis.call('DEL', view, ready)
redis.call('HSET', view, 'format', '1', 'dropping', redis.call('TIME')[1] + ARGV[1])
local why = known[1] or known[2] or (ARGV[2] ~= '' and 'keys are gone from Redis')
if why then redis.call('HSET', view, 'why', why .. ARGV[2]) end
return 1
"""
)
"""Claim a view that is damaged or not there, to remove what is left of it. KEYS: view, ready. ARGV: for how many
seconds, what to add to the reason. Answers 1 for the one who is to do it."""

DROPPED = """
if redis.call('HEXISTS', KEYS[1], 'dropping') == 1 then redis.call('HDEL', KEYS[1], 'dropping') end
return 1
"""
"""What was left is removed: the view can be built. KEYS: view."""
