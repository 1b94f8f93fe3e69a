-- A dry run is held against limits as the request is, and reserves nothing.

create function limits_would_fit(
    c_id uuid[], c_minute bigint[], c_hour bigint[], c_day bigint[], c_open bigint[], c_every bigint[], c_burst bigint[],
    r_amount bigint,
    out full_counter int[], out full_of text[], out full_used bigint[], out full_until timestamptz[]
) language plpgsql as $$
begin
    select r.full_counter, r.full_of, r.full_used, r.full_until
    into full_counter, full_of, full_used, full_until
    from reserve_limits(clock_timestamp(), c_id, c_minute, c_hour, c_day, c_open, c_every, c_burst, '{}', '{}', '{}', '{}',
                        array[r_amount], array_fill(1, array[cardinality(c_id)]), array(select generate_series(1, cardinality(c_id)))) r;
    raise 'nothing is reserved' using errcode = 'CH001';
exception when sqlstate 'CH001' then
    null; -- what was done since the beginning of the block is undone, and what was said is kept
end
$$;
comment on function limits_would_fit is 'Which of these counters would stand in the way of one more row, as reserve_limits says it. Reserves nothing.';
