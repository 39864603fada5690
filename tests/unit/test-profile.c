/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The profile: order never matters, runs come and go whole, and a file that is not one is refused. */
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "model/freeze.h"
#include "model/pack.h"
#include "model/profile-internal.h"
#include "model/training.h"
#include "random-trace.h"
#include "../tap.h"

enum { SOURCES = 6, EVENTS = 1500 };

static char folder[] = "/tmp/imsafe-test-profile-XXXXXX";
static struct event events[SOURCES][EVENTS];
static const struct profile_info info = { .application = "/usr/sbin/thing", .arch = ARCH_X86_64, .length = 6 };
static struct errmsg err;

static const char *path(const char *name)
{
	static char buffers[8][128];
	static int next;
	char *buffer = buffers[next++ % 8];

	snprintf(buffer, sizeof(buffers[0]), "%s/%s", folder, name);
	return buffer;
}

static int learn_source(struct profile *profile, int source)
{
	struct training *t = training_new(6, profile_sample_limit(profile), NULL, NULL);
	char name[32], build_id[8];
	struct profile_run run = { .date = 1000 + 100 * source, .source = name, .sensor = "ptrace", .build_id = build_id }, found;
	int r;

	snprintf(name, sizeof(name), "trace-%d", source);
	snprintf(build_id, sizeof(build_id), "ab%02d", source);
	r = training_add(t, events[source], EVENTS);
	if (r >= 0)
		r = training_end(t);
	if (r >= 0)
		r = profile_find_run(profile, training_hash(t, name), &found, &err);
	if (!r)
		r = training_commit(t, profile, &run, &err);
	training_free(t);
	return r;
}

/* Learns sources, as digits, in this order; a comma ends a transaction and an opening of the file. */
static int learn(const char *name, const char *order)
{
	int r = 0;

	while (*order && r >= 0) {
		struct profile *profile = NULL;

		r = profile_open(path(name), PROFILE_CREATE, &info, &profile, &err);
		if (r >= 0)
			r = profile_begin(profile, &err);
		for (; *order && *order != ',' && r >= 0; order++)
			r = learn_source(profile, *order - '0');
		order += *order == ',';
		if (r >= 0)
			r = profile_commit(profile, &err);
		profile_close(profile);
	}
	if (r < 0)
		printf("# %s: %s\n", err.file, err.text);
	return r;
}

static int add_hash(void *data, const struct session *session, uint64_t copies, int64_t run)
{
	uint64_t *sum = data;

	*sum = *sum * 31 + session_hash(session) * copies;
	return 0;
}

/* Everything that must not depend on order: counts, image, sample. */
static bool same(const char *a, const char *b)
{
	uint64_t sample[2] = { 0 };
	struct counts counts[2];
	struct image image[2];
	bool equal = true;

	for (int i = 0; i < 2; i++) {
		struct profile *profile = NULL;

		if (profile_open(path(i ? b : a), PROFILE_READ, NULL, &profile, &err) < 0 ||
		    profile_counts(profile, 0, &counts[i], &err) < 0 ||
		    freeze(&counts[i], profile_info(profile)->arch, &image[i], &err) < 0 ||
		    profile_each_session(profile, add_hash, &sample[i], &err) < 0 || profile_verify(profile, &err) < 0) {
			printf("# %s: %s\n", err.file, err.text);
			return false;
		}
		profile_close(profile);
	}
	equal = sample[0] == sample[1] && counts[0].n_grams == counts[1].n_grams && counts[0].sessions == counts[1].sessions &&
		image[0].header->cells == image[1].header->cells &&
		!memcmp(image[0].header, image[1].header, sizeof(*image[0].header) + image[0].header->cells * sizeof(struct cell));
	for (size_t i = 0; equal && i < counts[0].n_grams; i++)
		equal = !gram_compare(&counts[0].grams[i], &counts[1].grams[i]) &&
			counts[0].grams[i].count == counts[1].grams[i].count &&
			counts[0].grams[i].sessions == counts[1].grams[i].sessions;
	for (int i = 0; i < 2; i++) {
		counts_done(&counts[i]);
		image_free(&image[i]);
	}
	return equal;
}

static int merge(const char *to, const char *from, int *ret_added)
{
	struct profile *a = NULL, *b = NULL;
	int r = profile_open(path(to), PROFILE_CREATE, &info, &a, &err);

	if (r >= 0)
		r = profile_open(path(from), PROFILE_READ, NULL, &b, &err);
	if (r >= 0)
		r = profile_begin(a, &err);
	if (r >= 0)
		r = *ret_added = profile_merge(a, b, &err);
	if (r >= 0)
		r = profile_commit(a, &err);
	profile_close(a);
	profile_close(b);
	return r;
}

struct runs {
	int n;
	int64_t first, last_date;
};

static int on_run(void *data, const struct profile_run *run)
{
	struct runs *runs = data;

	runs->first = runs->n++ ? runs->first : run->id;
	runs->last_date = run->date;
	return 0;
}

static void check_order(void)
{
	struct profile *profile = NULL;
	struct counts counts = { 0 };
	struct runs runs = { 0 };
	int added = 0;

	ok(!learn("a.db", "012345") && !learn("b.db", "5,4,3,210"), "learned in one run and in several");
	ok(same("a.db", "b.db"), "any order, one run or many: the same counts, image and sample");
	ok(!learn("b.db", "024") && same("a.db", "b.db"), "what was learned is not learned twice");
	ok(!learn("c.db", "01") && !learn("d.db", "2345"), "two parts");
	ok(merge("c.db", "d.db", &added) >= 0 && added == 4 && same("a.db", "c.db"), "merging is exact");
	ok(merge("c.db", "a.db", &added) >= 0 && !added && same("a.db", "c.db"), "merging again adds nothing");
	ok(merge("new.db", "a.db", &added) >= 0 && same("a.db", "new.db"), "merging into a new profile copies");

	ok(!profile_open(path("a.db"), PROFILE_READ, NULL, &profile, &err), "open to read");
	ok(!strcmp(profile_info(profile)->application, "/usr/sbin/thing") && profile_info(profile)->arch == ARCH_X86_64 &&
	   profile_info(profile)->length == 6 && !strcmp(profile_info(profile)->build_id, "ab05"),
	   "it says what it is of; the build-id is the latest run's");
	ok(!profile_each_run(profile, on_run, &runs, &err) && runs.n == 6 && runs.last_date == 1500, "six runs, by date");
	ok(!profile_counts(profile, 1400, &counts, &err) && counts.calls && !counts_check(&counts), "counts since a date");
	profile_close(profile);
	counts_done(&counts);

	ok(!profile_open(path("a.db"), PROFILE_WRITE, NULL, &profile, &err) && !profile_begin(profile, &err), "open to write");
	ok(profile_remove_run(profile, 4711, &err) == -ENOENT, "a run that is not there cannot be taken out");
	ok(!profile_remove_run(profile, runs.first, &err) && !profile_commit(profile, &err), "one that is can");
	profile_close(profile);
	ok(!learn("e.db", "12345") && same("a.db", "e.db"), "and leaves what the others left");

	ok(!profile_open(path("a.db"), PROFILE_WRITE, NULL, &profile, &err) && !profile_begin(profile, &err), "begin");
	ok(!learn_source(profile, 0), "learn");
	profile_close(profile);
	ok(same("a.db", "e.db"), "closed without commit: nothing was learned");
}

/* More sessions than the sample holds, some of them equal. */
static int learn_many(const char *name, int from, int to, int step)
{
	struct profile *profile = NULL;
	int r = profile_open(path(name), PROFILE_CREATE, &info, &profile, &err);
	int half = (from + to) / 2;

	for (int part = 0; part < 2 && r >= 0; part++) {
		struct training *t = training_new(6, profile_sample_limit(profile), NULL, NULL);
		struct profile_run run = { .date = 1, .source = "many" };

		for (int i = part ? half : from; i < (part ? to : half); i++) {
			int session = step > 0 ? i : to - 1 - (i - from);
			struct event list[] = {
				{ .tid = 5, .kind = EVENT_FORK },
				{ .tid = 5, .kind = EVENT_CALL, .call = (uint16_t)(session % 61) },
				{ .tid = 5, .kind = EVENT_CALL, .call = (uint16_t)(session / 61 % 61) },
				{ .tid = 5, .kind = EVENT_CALL, .call = (uint16_t)(session % 4 ? session / 3721 : 0) },
				{ .tid = 5, .kind = EVENT_EXIT },
			};

			training_add(t, list, ARRAY_SIZE(list));
		}
		training_end(t);
		r = profile_begin(profile, &err);
		if (r >= 0)
			r = training_commit(t, profile, &run, &err);
		if (r >= 0)
			r = profile_commit(profile, &err);
		training_free(t);
	}
	profile_close(profile);
	return r;
}

static int count_session(void *data, const struct session *session, uint64_t copies, int64_t run)
{
	++*(int *)data;
	return 0;
}

/* Thread 0 and call 0 are events, too. */
static void check_zeros(void)
{
	static const struct event zeros[9];
	struct training *few = training_new(6, INT64_MAX, NULL, NULL), *more = training_new(6, INT64_MAX, NULL, NULL);

	ok(!training_add(few, zeros, 8) && !training_add(more, zeros, 9) && training_hash(few, "a") != training_hash(more, "a"),
	   "traces of nothing but zeros are told apart");
	training_free(few);
	training_free(more);
}

/* What a trace says of itself may be long; a profile that took it could not be opened any more. */
static void check_long_texts(void)
{
	static char text[PROFILE_TEXT_MAX + 2];
	struct profile_info new = info;
	struct profile *profile = NULL;
	bool good = true;

	memset(text, 'a', sizeof(text) - 1);
	new.application = text;
	ok(profile_open(path("long.db"), PROFILE_CREATE, &new, &profile, &err) == -EINVAL, "of an application: %s", err.text);
	for (unsigned extra = 1; extra <= 1; extra--) {
		for (int which = 0; which < 3; which++) {
			struct profile_run run = { .source = which ? "s" : text, .sensor = which == 1 ? text : NULL,
						   .build_id = which == 2 ? text : NULL };
			struct training *t = training_new(6, INT64_MAX, NULL, NULL);

			text[PROFILE_TEXT_MAX + extra] = '\0';
			good &= !training_add(t, events[which], EVENTS) && !training_end(t) &&
				!profile_open(path("long.db"), PROFILE_CREATE, &info, &profile, &err) && !profile_begin(profile, &err) &&
				training_commit(t, profile, &run, &err) == (extra ? -EINVAL : 0);
			if (good && !extra)
				good = !profile_commit(profile, &err);
			profile = profile_close(profile);
			training_free(t);
		}
	}
	ok(good && !profile_open(path("long.db"), PROFILE_READ, NULL, &profile, &err) && !profile_verify(profile, &err),
	   "as long as can be read again, and not longer");
	profile_close(profile);
}

static void check_sample(void)
{
	struct profile *profile = NULL;
	int n = 0, added;

	ok(!learn_many("s1.db", 0, 9000, 1) && !learn_many("s2.db", 0, 9000, -1) && same("s1.db", "s2.db"),
	   "more sessions than are kept: the same sample from both ends");
	ok(!learn_many("s3.db", 0, 3100, 1) && !learn_many("s4.db", 3100, 9000, 1) && merge("s4.db", "s3.db", &added) >= 0 && added == 2 &&
	   same("s1.db", "s4.db"), "and merged from parts");
	ok(!profile_open(path("s1.db"), PROFILE_READ, NULL, &profile, &err) &&
	   !profile_each_session(profile, count_session, &n, &err) && n == SAMPLE_SESSIONS, "it is full");
	profile_close(profile);
}

/* What the message says when the file cannot be opened; NULL if it can be. */
static const char *refused(const char *name, enum profile_mode mode, int expected)
{
	struct profile *profile = NULL;
	int r;

	memset(&err, 0, sizeof(err));
	r = profile_open(name, mode, &info, &profile, &err);
	profile_close(profile);
	if (r != expected)
		printf("# %s: %d %s\n", name, r, err.text);
	return r == expected && *err.text ? err.text : "not refused";
}

static void write_file(const char *name, const char *content, size_t size)
{
	FILE *f = fopen(name, "w");

	if (!f || fwrite(content, 1, size, f) != size || fclose(f))
		abort();
}

static void sql(const char *name, const char *text)
{
	sqlite3 *db;

	if (sqlite3_open(name, &db) != SQLITE_OK || sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		printf("# %s: %s\n", text, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static void check_files(void)
{
	struct profile *profile = NULL;
	struct counts counts;
	char zeros[8192] = { 0 };

	ok(strstr(refused(path("none.db"), PROFILE_READ, -ENOENT), "no such profile"), "no file");
	ok(strstr(refused(path("none.db"), PROFILE_WRITE, -ENOENT), "no such profile"), "no file to write to");
	ok(strstr(refused(folder, PROFILE_CREATE, -EISDIR), "folder"), "a folder");
	ok(strstr(refused("/dev/null", PROFILE_READ, -EBADMSG), "not a file"), "a device");
	ok(strstr(refused("", PROFILE_CREATE, -EINVAL), "name"), "no name");
	ok(strstr(refused("-", PROFILE_CREATE, -EINVAL), "'./-'"), "standard output");
	write_file(path("empty.db"), "", 0);
	ok(strstr(refused(path("empty.db"), PROFILE_READ, -EBADMSG), "empty"), "an empty file");
	write_file(path("zeros.db"), zeros, sizeof(zeros));
	ok(strstr(refused(path("zeros.db"), PROFILE_READ, -EBADMSG), "not a profile"), "zeros");
	write_file(path("text.db"), "1 909 45\n2 909 6\n", 17);
	ok(strstr(refused(path("text.db"), PROFILE_CREATE, -EBADMSG), "not a profile"), "a trace");
	sql(path("other.db"), "CREATE TABLE t (x)");
	ok(strstr(refused(path("other.db"), PROFILE_READ, -EBADMSG), "not a profile"), "another database");
	learn("newer.db", "0");
	sql(path("newer.db"), "PRAGMA user_version = 2");
	ok(strstr(refused(path("newer.db"), PROFILE_WRITE, -EPROTONOSUPPORT), "version 2"), "a newer profile");
	learn("trigger.db", "0");
	sql(path("trigger.db"), "CREATE TRIGGER evil AFTER INSERT ON run BEGIN DELETE FROM session; END");
	ok(strstr(refused(path("trigger.db"), PROFILE_READ, -EBADMSG), "no profile holds"), "a trigger");
	learn("table.db", "0");
	sql(path("table.db"), "DROP TABLE session");
	ok(strstr(refused(path("table.db"), PROFILE_READ, -EBADMSG), "missing"), "a table less");
	learn("arch.db", "0");
	sql(path("arch.db"), "UPDATE profile SET arch = 'pdp11'");
	ok(strstr(refused(path("arch.db"), PROFILE_READ, -EBADMSG), "architecture"), "an unknown architecture");
	learn("length.db", "0");
	sql(path("length.db"), "UPDATE profile SET length = 17");
	ok(strstr(refused(path("length.db"), PROFILE_READ, -EBADMSG), "cannot be"), "an impossible length");

	ok(strstr(refused(path("no/such/folder.db"), PROFILE_CREATE, -ENOENT), "cannot be made here"), "no folder");
	ok(!profile_open(path("unused.db"), PROFILE_CREATE, &info, &profile, &err) && access(path("unused.db"), F_OK) < 0 &&
	   profile_run_counts(profile, 1, &counts, &err) == -ENOENT, "a new profile is not made before it has to be");
	ok(!profile_begin(profile, &err) && profile_is_new(profile), "begun");
	profile_close(profile);
	ok(access(path("unused.db"), F_OK) < 0, "without a commit leaves no file");
	ok(!profile_open(path("empty.db"), PROFILE_CREATE, &info, &profile, &err), "an empty file can become one");
	profile_close(profile);
	ok(!access(path("empty.db"), F_OK), "and stays if it does not");
}

/* Faults inside a file that opens. */
static void fault(const char *statement, const char *word)
{
	struct profile *profile = NULL;
	int r;

	unlink(path("fault.db"));
	if (learn("fault.db", "01") < 0)
		return;
	sql(path("fault.db"), statement);
	r = profile_open(path("fault.db"), PROFILE_READ, NULL, &profile, &err);
	if (r >= 0)
		r = profile_verify(profile, &err);
	ok(r == -EBADMSG && strstr(err.text, word), "%s: %s", statement, r < 0 ? err.text : "not noticed");
	profile_close(profile);
}

static void check_faults(void)
{
	fault("UPDATE run SET calls = calls + 1", "counts");
	fault("UPDATE run SET calls = -1", "cannot be");
	fault("UPDATE run SET date = 'yesterday'", "cannot be");
	fault("UPDATE run SET counts = zeroblob(100)", "counts");
	fault("UPDATE run SET counts = 7", "no counts");
	fault("UPDATE run SET source = zeroblob(5)", "cannot be");
	fault("UPDATE session SET symbols = zeroblob(30)", "session is wrong");
	fault("UPDATE session SET n = n + 1", "lengths");
	fault("DELETE FROM run WHERE id = 1", "no learning run");
	fault("DELETE FROM session_run", "belongs to nothing");
	fault("DELETE FROM session", "no calls");
	fault("UPDATE session_run SET copies = 0", "cannot be");
	fault("UPDATE profile SET sample_limit = 1", "should not be");
	fault("INSERT INTO session_run SELECT hash + 1, run, time, copies FROM session_run", "no calls");
}

/* One page of the file after the other is overwritten at its beginning, where links to other pages stand. */
static void check_pages(void)
{
	enum { PAGE = 4096, MANY = 20000 };
	static char data[1 << 20];
	static struct event many[MANY];
	struct training *t = training_new(6, INT64_MAX, NULL, NULL);
	struct profile_run run = { .source = "many" };
	struct profile *large = NULL;
	uint64_t seed = 9;
	unsigned opened = 0, refused_later = 0, wrong = 0;
	FILE *f;
	size_t n;

	random_trace(many, MANY, 300, &seed);
	ok(!training_add(t, many, MANY) && !training_end(t) && !profile_open(path("page.db"), PROFILE_CREATE, &info, &large, &err) &&
	   !profile_begin(large, &err) && !training_commit(t, large, &run, &err) && !profile_commit(large, &err), "a large run");
	profile_close(large);
	training_free(t);
	f = fopen(path("page.db"), "re");
	n = f ? fread(data, 1, sizeof(data), f) : 0;
	if (f)
		fclose(f);
	for (size_t page = 1; page < n / PAGE; page++) {
		struct profile *profile = NULL;
		struct counts counts = { 0 };
		char before[4];
		int r;

		memcpy(before, data + page * PAGE, sizeof(before));
		memset(data + page * PAGE, 0xff, sizeof(before));
		write_file(path("page.db"), data, n);
		memcpy(data + page * PAGE, before, sizeof(before));
		if (profile_open(path("page.db"), PROFILE_READ, NULL, &profile, &err) < 0)
			continue;
		opened++;
		r = profile_counts(profile, 0, &counts, &err);
		counts_done(&counts);
		refused_later += r < 0;
		/* It says that the file is damaged, and not that something in it were. */
		wrong += r < 0 && (r != -EBADMSG || !strstr(err.text, "malformed"));
		profile_close(profile);
	}
	ok(opened && refused_later && !wrong, "of %zu damaged pages, %u were met later, and named as such (%u not)", n / PAGE - 1,
	   refused_later, wrong);
}

static void check_writers(void)
{
	struct profile *profile = NULL;
	int ready[2], done[2], r;
	char byte = 0;
	pid_t pid;

	learn("busy.db", "0");
	if (pipe(ready) < 0 || pipe(done) < 0)
		abort();
	pid = fork();
	if (!pid) {
		close(done[1]);
		if (profile_open(path("busy.db"), PROFILE_WRITE, NULL, &profile, &err) < 0 || profile_begin(profile, &err) < 0 ||
		    write(ready[1], "x", 1) != 1 || read(done[0], &byte, 1) != 1)
			_exit(1);
		learn_source(profile, 1);
		r = profile_commit(profile, &err);
		profile_close(profile);
		_exit(r < 0);
	}
	close(ready[1]);
	close(done[0]);
	ok(read(ready[0], &byte, 1) == 1, "another process is learning");
	ok(!profile_open(path("busy.db"), PROFILE_WRITE, NULL, &profile, &err), "the profile can be read meanwhile");
	if (write(done[1], "x", 1) != 1)
		abort();
	ok(!profile_begin(profile, &err) && !learn_source(profile, 2) && !profile_commit(profile, &err),
	   "and written when the other is done");
	profile_close(profile);
	waitpid(pid, &r, 0);
	learn("f.db", "012");
	ok(!r && same("busy.db", "f.db"), "both have learned");
	close(ready[0]);
	close(done[1]);

	if (geteuid()) {
		chmod(path("f.db"), 0400);
		ok(strstr(refused(path("f.db"), PROFILE_WRITE, -EACCES), "permission"), "a file without permission");
		ok(!profile_open(path("f.db"), PROFILE_READ, NULL, &profile, &err), "can still be read");
		profile_close(profile);
		chmod(path("f.db"), 0600);
	}
	ok(!profile_open(path("f.db"), PROFILE_WRITE, NULL, &profile, &err) && !unlink(path("f.db")) &&
	   profile_begin(profile, &err) < 0 && strstr(err.text, "removed"), "a file that goes away: %s", err.text);
	profile_close(profile);
}

/* Counts and sessions survive packing; no cut or changed bytes are taken for them. */
static void check_packing(void)
{
	struct counts counts = { .length = 6 }, copy;
	struct learner *learner = learner_new(6, NULL, NULL);
	uint64_t seed = 3;
	size_t size, wrong = 0;
	uint8_t *data;

	learner_add(learner, events[0], EVENTS);
	learner_end_trace(learner);
	learner_counts(learner, &counts);
	learner_free(learner);
	ok(!pack_counts(&counts, (void **)&data, &size), "packed: %zu grams in %zu bytes", counts.n_grams, size);
	copy = counts;
	ok(!unpack_counts(data, size, &copy) && copy.n_grams == counts.n_grams &&
	   !memcmp(copy.grams, counts.grams, counts.n_grams * sizeof(*counts.grams)), "and unpacked");
	counts_done(&copy);
	for (int i = 0; i < 2000; i++) {
		uint8_t *damaged = malloc(size);
		size_t n = i % 2 ? size : random_next(&seed) % size;

		memcpy(damaged, data, n);
		if (i % 2)
			damaged[random_next(&seed) % size] ^= (uint8_t)(1 + random_next(&seed) % 255);
		copy = counts;
		if (!unpack_counts(damaged, n, &copy)) {
			wrong += copy.n_grams != counts.n_grams ||
				 memcmp(copy.grams, counts.grams, counts.n_grams * sizeof(*counts.grams));
			counts_done(&copy);
		}
		free(damaged);
	}
	ok(!wrong, "damaged bytes are refused");
	free(data);
	counts_done(&counts);
}

int main(void)
{
	uint64_t seed = 42;
	char command[128];

	if (!mkdtemp(folder))
		return 1;
	for (int i = 0; i < SOURCES; i++)
		random_trace(events[i], EVENTS, 20, &seed);
	check_packing();
	check_order();
	check_zeros();
	check_long_texts();
	check_sample();
	check_files();
	check_faults();
	check_pages();
	check_writers();
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command))
		return 1;
	return tap_done();
}
