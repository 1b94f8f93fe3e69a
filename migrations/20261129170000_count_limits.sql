-- What limits count, on all replicas together: a group touches each counter once, however many of its rows ask of it.

create table limit_counters (
    id uuid constraint limit_counters_pkey primary key,
    scope text not null,
    subject text not null,
    what text not null constraint limit_counters_what_is_known
        check (what in ('order', 'l1-header', 'assertion', 'token', 'look-up')),
    slid_to bigint not null default floor(extract(epoch from clock_timestamp()))::bigint,
    minute bigint[] not null default array_fill(0::bigint, array[13])
        constraint limit_counters_minute_has_13_parts check (cardinality(minute) = 13),
    hour bigint[] not null default array_fill(0::bigint, array[13])
        constraint limit_counters_hour_has_13_parts check (cardinality(hour) = 13),
    day bigint[] not null default array_fill(0::bigint, array[25])
        constraint limit_counters_day_has_25_parts check (cardinality(day) = 25),
    in_minute bigint not null default 0,
    in_hour bigint not null default 0,
    in_day bigint not null default 0,
    open bigint not null default 0,
    paced_to bigint not null default 0,
    constraint limit_counters_are_for_one_thing unique (scope, subject, what),
    constraint limit_counters_count_from_zero check (least(in_minute, in_hour, in_day, open) >= 0)
) with (fillfactor = 25); -- a busy one is written a thousand times a second, and its versions are to share a page
comment on table limit_counters is 'How much of what is limited was used: one row for each limited thing and kind of use. Amounts are base units of 10^-6, or a number of things.';
comment on column limit_counters.id is 'UUID of version 8, of SHA-256 over scope, subject and what, by which groups name it.';
comment on column limit_counters.slid_to is 'The second, since 1970, in which it was used last.';
comment on column limit_counters.minute is 'A ring of parts of 5 s: the minute, and the part that is under way. Part n (seconds since 1970 over 5) has the place n % 13 + 1.';
comment on column limit_counters.hour is 'The same in parts of 300 s.';
comment on column limit_counters.day is 'The same in parts of 3600 s, of which there are 25.';
comment on column limit_counters.in_minute is 'The sum of its ring, as in_hour and in_day.';
comment on column limit_counters.open is 'What was signed and may still come to pass.';
comment on column limit_counters.paced_to is 'When the last of the uses so far would have been due at an even pace, in microseconds since 1970.';

create function slid(p_ring bigint[], p_from bigint, p_to bigint) returns bigint[]
language sql immutable as $$
    select array_agg(case when p_to - p_from >= cardinality(p_ring)
                           or mod(i - 2 - mod(p_from, cardinality(p_ring)) + cardinality(p_ring), cardinality(p_ring))
                              < p_to - p_from
                          then 0 else v end order by i)
    from unnest(p_ring) with ordinality as ring (v, i)
$$;
comment on function slid is 'A ring whose last part was p_from, when its last part is p_to: parts between are empty.';

create function free_until(p_ring bigint[], p_part_s int, p_slid_to bigint, p_too_much bigint) returns timestamptz
language sql immutable as $$
    select to_timestamp(coalesce(min(part), p_slid_to / p_part_s) * p_part_s + cardinality(p_ring) * p_part_s)
    from (select part, sum(p_ring[1 + mod(part, cardinality(p_ring))]) over (order by part) as gone
          from generate_series(p_slid_to / p_part_s - cardinality(p_ring) + 1, p_slid_to / p_part_s) as part) parts
    where gone >= p_too_much
$$;
comment on function free_until is 'When so much will have left a ring; what is about to be added to its last part counts as well.';

-- Arguments are columns, one array each: c_ counters with their limits, which a null leaves away; g_ what is given back;
-- u_ which row asks of which counter, by numbers from 1, the rows in order; r_amount what a row asks for.
create function reserve_limits(
    p_at timestamptz,
    c_id uuid[], c_minute bigint[], c_hour bigint[], c_day bigint[], c_open bigint[], c_every bigint[], c_burst bigint[],
    g_counter uuid[], g_amount bigint[], g_at timestamptz[], g_open boolean[],
    r_amount bigint[], u_row int[], u_counter int[],
    out full_row int[], out full_counter int[], out full_of text[], out full_used bigint[], out full_until timestamptz[]
) language plpgsql as $$
#variable_conflict use_column
declare
    -- Sums stay below this, so that two of them can be added.
    most constant bigint := 4611686018427387903;
    second constant bigint := floor(extract(epoch from p_at))::bigint;
    moment constant bigint := floor(extract(epoch from p_at) * 1000000)::bigint;
    all_there boolean;
    stale boolean;
    s_there boolean[];
    s_minute bigint[];
    s_hour bigint[];
    s_day bigint[];
    s_open bigint[];
    s_paced bigint[];
    n_amount bigint[];
    n_many bigint[];
    all_fit boolean;
    i int := 1;
    j int;
    c int;
    asked bigint;
    due bigint;
    bad text;
    used bigint;
    until timestamptz;
begin
    -- In one order, so that no two groups wait for each other.
    select coalesce(bool_or(greatest(second, slid_to) / 5 > slid_to / 5), false) into stale
    from (select slid_to from limit_counters where id = any(c_id || g_counter) order by id for update) locked;
    if stale then
        update limit_counters l set
            slid_to = second, minute = new.minute, hour = new.hour, day = new.day,
            in_minute = (select least(sum(v), most) from unnest(new.minute) v),
            in_hour = (select least(sum(v), most) from unnest(new.hour) v),
            in_day = (select least(sum(v), most) from unnest(new.day) v)
        from limit_counters o, lateral (
            select slid(o.minute, o.slid_to / 5, second / 5) as minute,
                   slid(o.hour, o.slid_to / 300, second / 300) as hour,
                   slid(o.day, o.slid_to / 3600, second / 3600) as day) new
        where o.id = any(c_id || g_counter) and o.slid_to / 5 < second / 5 and l.id = o.id;
    end if;

    if g_counter <> '{}' then -- where it was taken, as far as that is still in the ring
        for i in 1 .. cardinality(g_counter) loop
            update limit_counters l set
                minute[m] = l.minute[m] - of_minute, in_minute = greatest(l.in_minute - of_minute, 0),
                hour[h] = l.hour[h] - of_hour, in_hour = greatest(l.in_hour - of_hour, 0),
                day[d] = l.day[d] - of_day, in_day = greatest(l.in_day - of_day, 0),
                open = l.open - least(l.open, case when g_open[i] then g_amount[i] else 0 end)
            from (select floor(extract(epoch from g_at[i]))::bigint as at) g,
                 limit_counters o,
                 lateral (select mod(at / 5, 13)::int + 1 as m, mod(at / 300, 13)::int + 1 as h,
                                 mod(at / 3600, 25)::int + 1 as d) place,
                 lateral (select case when at / 5 > o.slid_to / 5 - 13 then least(o.minute[m], g_amount[i]) else 0 end as of_minute,
                                 case when at / 300 > o.slid_to / 300 - 13 then least(o.hour[h], g_amount[i]) else 0 end as of_hour,
                                 case when at / 3600 > o.slid_to / 3600 - 25 then least(o.day[d], g_amount[i]) else 0 end as of_day) back
            where o.id = g_counter[i] and l.id = o.id;
        end loop;
    end if;
    if u_row = '{}' then
        return;
    end if;

    select array_agg(is_there order by n), array_agg(in_minute order by n), array_agg(in_hour order by n),
           array_agg(in_day order by n), array_agg(open order by n), array_agg(paced order by n),
           array_agg(least(amount, most)::bigint order by n), array_agg(many order by n),
           bool_and(many = 0 or is_there
               and in_minute + amount <= coalesce(minute_limit, most * 2.0)
               and in_hour + amount <= coalesce(hour_limit, most * 2.0)
               and in_day + amount <= coalesce(day_limit, most * 2.0)
               and open + amount <= coalesce(open_limit, most * 2.0)
               and (every is null or paced + many * every <= moment + burst * every))
    into s_there, s_minute, s_hour, s_day, s_open, s_paced, n_amount, n_many, all_fit
    from (select n, l.id is not null as is_there, in_minute, in_hour, in_day, open, greatest(paced_to, moment) as paced,
                 coalesce(u.amount, 0) as amount, coalesce(u.many, 0) as many,
                 minute_limit, hour_limit, day_limit, open_limit, every, burst
          from unnest(c_id, c_minute, c_hour, c_day, c_open, c_every, c_burst) with ordinality
                   as c (id, minute_limit, hour_limit, day_limit, open_limit, every, burst, n)
          left join limit_counters l on l.id = c.id
          left join (select counter, sum(r_amount[asker]) as amount, count(*) as many
                     from unnest(u_row, u_counter) as u (asker, counter) group by counter) u on u.counter = n) it;

    if not all_fit then -- one after the other: what does not fit leaves no trace
        n_amount := array_fill(0::bigint, array[cardinality(c_id)]);
        n_many := n_amount;
        while i <= cardinality(u_row) loop
            asked := r_amount[u_row[i]];
            bad := null;
            used := 0;
            until := null;
            j := i;
            while j <= cardinality(u_row) and u_row[j] = u_row[i] loop
                c := u_counter[j];
                due := s_paced[c] + (n_many[c] + 1) * c_every[c] - c_burst[c] * c_every[c];
                if not s_there[c] then
                    bad := 'missing';
                elsif due > moment then
                    bad := 'pace';
                    used := (s_paced[c] - moment + c_every[c] - 1) / c_every[c] + n_many[c];
                    until := to_timestamp(due / 1000000.0);
                elsif s_minute[c] + n_amount[c] + asked > c_minute[c] then
                    bad := 'minute';
                    used := s_minute[c] + n_amount[c];
                    select free_until(minute, 5, slid_to, used + asked - c_minute[c]) into until
                    from limit_counters where id = c_id[c] and asked <= c_minute[c];
                elsif s_hour[c] + n_amount[c] + asked > c_hour[c] then
                    bad := 'hour';
                    used := s_hour[c] + n_amount[c];
                    select free_until(hour, 300, slid_to, used + asked - c_hour[c]) into until
                    from limit_counters where id = c_id[c] and asked <= c_hour[c];
                elsif s_day[c] + n_amount[c] + asked > c_day[c] then
                    bad := 'day';
                    used := s_day[c] + n_amount[c];
                    select free_until(day, 3600, slid_to, used + asked - c_day[c]) into until
                    from limit_counters where id = c_id[c] and asked <= c_day[c];
                elsif s_open[c] + n_amount[c] + asked > c_open[c] then
                    bad := 'open';
                    used := s_open[c] + n_amount[c];
                end if;
                exit when bad is not null;
                j := j + 1;
            end loop;
            if bad is null then
                for k in i .. j - 1 loop
                    c := u_counter[k];
                    n_amount[c] := least(n_amount[c] + asked, most);
                    n_many[c] := n_many[c] + 1;
                end loop;
                i := j;
            else
                full_row := full_row || u_row[i];
                full_counter := full_counter || c;
                full_of := full_of || bad;
                full_used := full_used || used;
                full_until := full_until || until;
                j := u_row[i];
                while i <= cardinality(u_row) and u_row[i] = j loop
                    i := i + 1;
                end loop;
            end if;
        end loop;
    end if;

    update limit_counters l set
        slid_to = greatest(slid_to, second),
        minute[mod(greatest(slid_to, second) / 5, 13) + 1] = least(minute[mod(greatest(slid_to, second) / 5, 13) + 1] + n.amount, most),
        hour[mod(greatest(slid_to, second) / 300, 13) + 1] = least(hour[mod(greatest(slid_to, second) / 300, 13) + 1] + n.amount, most),
        day[mod(greatest(slid_to, second) / 3600, 25) + 1] = least(day[mod(greatest(slid_to, second) / 3600, 25) + 1] + n.amount, most),
        in_minute = least(in_minute + n.amount, most), in_hour = least(in_hour + n.amount, most),
        in_day = least(in_day + n.amount, most),
        open = case when n.is_open then least(open + n.amount, most) else open end,
        paced_to = case when n.every is null then paced_to else greatest(paced_to, moment) + n.many * n.every end
    from (select id, amount, many, every, open_limit is not null as is_open
          from unnest(c_id, n_amount, n_many, c_every, c_open) as n (id, amount, many, every, open_limit)
          where many > 0) n
    where l.id = n.id;
end
$$;
comment on function reserve_limits is 'Reserves what fits, row by row in their order, in counters that it locks until the end of the transaction; says of each row that does not fit which counter stands in the way, how much of it was used, and when there will be room. Nothing in it raises.';
