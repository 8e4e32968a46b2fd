-- A lock that never waits, with the interface of lua-resty-lock (the controller asks for timeout = 0).
local _M = {}
local mt = { __index = _M }

function _M.new(_, dictionary, options)
  return setmetatable({ dictionary = ngx.shared[dictionary], expires = options and options.exptime or 30 }, mt)
end

function _M.lock(self, key)
  local ok, err = self.dictionary:add("lock:" .. key, true, self.expires)
  if not ok then
    return nil, err == "exists" and "timeout" or err
  end
  self.key = key
  return 0
end

function _M.unlock(self)
  if self.key then
    self.dictionary:delete("lock:" .. self.key)
    self.key = nil
  end
  return 1
end

return _M
