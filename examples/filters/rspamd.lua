-- What rspamd does to every message: it marks it with who marked it before.
rspamd_config:register_symbol {
  name = 'MARK',
  type = 'prefilter',
  callback = function(task)
    local mark = task:get_header('X-Filter')
    local before = mark and mark:match('^[^,]+') or 'nobody'
    task:set_milter_reply({ add_headers = { ['X-Filter'] = 'rspamd, after ' .. before } })
  end,
}
