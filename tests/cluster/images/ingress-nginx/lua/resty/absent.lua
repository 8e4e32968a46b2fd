-- Stands for a library that this test image lacks. Loading it is fine, since the controller's Lua
-- loads all of them at start; using it is an error that says so. The constants are what is read on loading.
return function(name, constants)
  return setmetatable(constants or {}, {
    __index = function(_, key)
      error("the test image has no " .. name .. " (wanted: " .. tostring(key) .. ")", 2)
    end,
  })
end
