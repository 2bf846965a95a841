/* service.c: managed PostgreSQL: which service it is, by the role that each puts into every database, and what is done
 * there instead of ALTER SYSTEM and ALTER ROLE. Called by check. */
#include "pg.h"

static const pg_service services[] = {
    {"rds_superuser", "Amazon RDS or Aurora",
     "Set rds.logical_replication = 1 in the parameter group (Aurora: of the cluster) and restart the instance.",
     "GRANT rds_replication TO "},
    {"cloudsqlsuperuser", "Google Cloud SQL", "Set the flag cloudsql.logical_decoding = on; the instance restarts.",
     NULL},
    {"azure_pg_admin", "Azure Database for PostgreSQL",
     "Set the server parameter wal_level to LOGICAL and restart the server.", NULL},
    {"neon_superuser", "Neon",
     "Turn on logical replication in the settings of the project; it cannot be turned off again.", NULL},
    {"supabase_admin", "Supabase", NULL, NULL},
};

wb_code pg_service_look(pg_link *l, const pg_service **out, wb_error *err)
{
    PGresult *res;
    *out = NULL;
    wb_code code = pg_query(l, "whether it is a managed service",
                            "SELECT rolname FROM pg_roles WHERE rolname IN ('rds_superuser', 'cloudsqlsuperuser',"
                            " 'azure_pg_admin', 'neon_superuser', 'supabase_admin')",
                            &res, err);
    if (code != WB_OK) return code;
    for (size_t i = 0; i < WB_COUNT(services) && PQntuples(res); i++)
        if (strcmp(PQgetvalue(res, 0, 0), services[i].role) == 0) *out = &services[i];
    PQclear(res);
    return WB_OK;
}
