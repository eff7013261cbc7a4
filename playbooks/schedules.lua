-- When playbooks run by themselves. `hostler schedules` shows what this says and how it stands; with --install it has
-- systemd do it. A calendar text is systemd's, with the time zone whose clocks it means: systemd.time(7).
return schedules {
    -- ["morning check"] = { playbook = "doctor", on_calendar = "Mon..Fri 06:30 Europe/Berlin", catch_up = true },
}
