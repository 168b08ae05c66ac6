-- What wrk sends: events and recommendations in the share that EVENTS says (0.5), for users of a file with one name a line.
-- Ends with one line of JSON.
--   EVENTS=0.5 USERS=users.txt ITEMS=items.txt wrk -t2 -c16 -d10s --latency -s benches/serve/mixed.lua http://127.0.0.1:8080
local share = tonumber(os.getenv("EVENTS") or "0.5")

local function names(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = line:gsub('[\\"]', "\\%0") end
  return list
end

local threads = {}

function setup(thread)
  thread:set("number", #threads + 1)
  table.insert(threads, thread)
end

function init()
  users, items = names(os.getenv("USERS")), names(os.getenv("ITEMS"))
  math.randomseed(1000 * number + tonumber(os.getenv("SEED") or "1"))
  refused = 0
end

function request()
  local user = users[math.random(#users)]
  if math.random() < share then
    local event = string.format('{"events":[{"user":"%s","item":"%s","time":%d}]}', user, items[math.random(#items)], os.time())
    return wrk.format("POST", "/events", { ["Content-Type"] = "application/json" }, event)
  end
  return wrk.format("GET", "/recommend?top=10&user=" .. user)
end

function response(status)
  if status ~= 200 then refused = refused + 1 end
end

function done(summary, latency)
  local refused = 0
  for _, thread in ipairs(threads) do refused = refused + thread:get("refused") end
  local errors = summary.errors
  print(string.format(
    'JSON {"seconds": %.3f, "requests": %d, "refused": %d, "errors": %d, "p50": %.3f, "p90": %.3f, "p99": %.3f, "p99.9": %.3f, "max": %.3f}',
    summary.duration / 1e6, summary.requests, refused, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, latency.max / 1e3))
end
