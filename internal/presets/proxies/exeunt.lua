-- Asks Exeunt about a request: `http-request lua.exeunt ADDRESS HOST`. The answer is in txn.exeunt_status and, where the
-- browser must go elsewhere, txn.exeunt_location. The app is told who is signed in by headers.

-- What the decision is about, besides the address. Nothing else of the request is sent.
local asked = {
  "cookie", "authorization", "accept", "origin", "referer", "upgrade", "x-requested-with", "user-agent",
  "access-control-request-method", "x-http-method-override", "x-http-method", "x-method-override",
  "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-user",
}

local told = { "remote-user", "remote-name", "remote-email", "remote-groups", "exeunt-account", "exeunt-session" }

core.register_action("exeunt", { "http-req" }, function(txn, address, host)
  local headers = {
    ["x-forwarded-proto"] = { "https" },
    ["x-forwarded-host"] = { host },
    ["x-forwarded-method"] = { txn.f:method() },
    ["x-forwarded-uri"] = { txn.f:pathq() },
    ["x-forwarded-for"] = { txn.f:src() },
  }
  local activity = txn:get_var("txn.exeunt_activity")
  if activity then headers["exeunt-activity"] = { activity } end
  local sent = txn.http:req_get_headers()
  for _, name in ipairs(asked) do
    if sent[name] then
      headers[name] = {}
      for i = 0, #sent[name] do table.insert(headers[name], sent[name][i]) end
    end
  end
  local ok, answer = pcall(function()
    return core.httpclient():get { url = address .. "/forward-auth/haproxy", headers = headers }
  end)
  if not ok or not answer or not answer.status then
    txn:set_var("txn.exeunt_status", "503")
    return
  end
  local status = answer.status
  txn:set_var("txn.exeunt_status", tostring(status))
  if status == 303 and answer.headers["location"] then
    txn:set_var("txn.exeunt_location", answer.headers["location"][0])
    return
  end
  if status ~= 200 then return end
  for _, name in ipairs(told) do
    local value = answer.headers[name] and answer.headers[name][0]
    if value and value ~= "" then txn.http:req_set_header(name, value) end
  end
end, 2)
