-- MIMIC-IV holds six patients for one with radiographs; the others would only slow the joins down.
CREATE OR REPLACE TABLE patients AS
SELECT patients.* EXCLUDE (fault)
FROM patients
SEMI JOIN images USING (subject_id);

-- An image leaves the cohort for one reason: first an unknown sex (the patient is absent from MIMIC-IV), then a view that
-- the settings do not keep; a missing view stays and is imputed later.
CREATE MACRO reason_to_leave(gender, view_position) AS
    CASE
        WHEN gender IS NULL OR gender NOT IN ('M', 'F') THEN 'sex unknown'
        WHEN NOT list_contains(getvariable('views'), view_position) THEN 'view not kept'
    END;
