-- What tells two splits apart: the hash of 'subject_id,split' lines of the cohort's patients, sorted.
SELECT sha256(coalesce(string_agg(concat(subject_id, ',', split, chr(10)), '' ORDER BY subject_id), '')) AS sha256
FROM (SELECT DISTINCT subject_id, split FROM placed WHERE reason IS NULL)
