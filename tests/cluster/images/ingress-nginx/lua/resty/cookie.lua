-- Reading and setting cookies with the interface of lua-resty-cookie.
local _M = {}
local mt = { __index = _M }

function _M.new()
  return setmetatable({}, mt)
end

function _M.get(_, name)
  return ngx.var["cookie_" .. name]
end

local function encode(cookie)
  local parts = { cookie.key .. "=" .. cookie.value }
  local function add(condition, text)
    if condition then
      parts[#parts + 1] = text
    end
  end
  add(cookie.expires, "Expires=" .. tostring(cookie.expires))
  add(cookie.max_age, "Max-Age=" .. tostring(cookie.max_age))
  add(cookie.domain, "Domain=" .. tostring(cookie.domain))
  add(cookie.path, "Path=" .. tostring(cookie.path))
  add(cookie.secure, "Secure")
  add(cookie.httponly, "HttpOnly")
  add(cookie.samesite, "SameSite=" .. tostring(cookie.samesite))
  return table.concat(parts, "; ")
end

function _M.set(_, cookie)
  local present = ngx.header["Set-Cookie"]
  if present == nil then
    present = {}
  elseif type(present) ~= "table" then
    present = { present }
  end
  present[#present + 1] = encode(cookie)
  ngx.header["Set-Cookie"] = present
  return true
end

return _M
