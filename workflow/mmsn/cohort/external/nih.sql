-- NIH-14: one row an image, with the list it is on and the reason it is left out, if any.
CREATE TABLE listed_entries AS
SELECT
    entries.name,
    entries.findings,
    entries.patient,
    entries.patient * 1000 + entries.follow_up AS study,
    entries.sex,
    -- The release of 2017 has a few impossible ages ('412Y').
    CASE WHEN entries.age <= 120 THEN entries.age END AS age,
    entries.view,
    listed.list,
    CASE
        WHEN getvariable('findings_only') AND list_contains(entries.findings, 'No Finding') THEN 'no finding'
    END AS reason
FROM entries
JOIN listed USING (name)
