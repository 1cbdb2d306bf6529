BEGIN TRANSACTION;
CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL, "applied" datetime NOT NULL);
INSERT INTO "django_migrations" VALUES(1,'siaga','0001_first','2026-11-22 11:58:09.542652');
CREATE TABLE "mark" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "station" varchar(13) NOT NULL, "epoch" varchar(64) NOT NULL, "stored" bigint NOT NULL, "highest" bigint NOT NULL, CONSTRAINT "mark_identity" UNIQUE ("station", "epoch"));
CREATE TABLE "record" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "station" varchar(13) NOT NULL, "epoch" varchar(64) NOT NULL, "seq" bigint NOT NULL, "kind" varchar(8) NOT NULL, "code" varchar(64) NOT NULL, "uplink" varchar(64) NOT NULL, "boot" varchar(64) NOT NULL, "uptime_s" real NOT NULL, "wall_s" real NOT NULL, "synced" bool NOT NULL, "body" text NOT NULL, "arrived_s" real NOT NULL, "is_late" bool NOT NULL, CONSTRAINT "record_identity" UNIQUE ("station", "epoch", "seq"));
CREATE TABLE "station" ("station" varchar(13) NOT NULL PRIMARY KEY, "session" varchar(64) NOT NULL, "heard_s" real NULL, "silent_at_s" real NULL, "view" text NOT NULL);
CREATE INDEX "station_silent_at_s_2e13bcca" ON "station" ("silent_at_s");
COMMIT;
