"""EHR variables: imputed, encoded, one Parquet table per feature set."""
