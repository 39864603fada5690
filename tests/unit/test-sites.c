/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Call sites: learned from streams with modules of their own, kept in a profile by run, judged. */
#include <string.h>

#include "model/training.h"
#include "../tap.h"

static struct event call(uint16_t number, uint32_t module, uint64_t offset)
{
	return (struct event){ .kind = EVENT_CALL, .tid = 1, .call = number, .origin = ORIGIN_FILE, .site = SITE(module, offset) };
}

static void test_set(void)
{
	struct modules one, two;
	struct sites sites;
	struct event events[3000], more[4];
	unsigned strays = 0;

	modules_init(&one);
	modules_init(&two);
	sites_init(&sites);
	modules_add(&one, "/a", "aa", 0, 0);
	modules_add(&one, "/b", "bb", 0, 0);
	modules_add(&two, "/b", "bb", 0, 0);
	modules_add(&two, "/a", "cc", 0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++)
		events[i] = call((uint16_t)(i % 300), 1 + i % 2, i / 2 % 1500);
	ok(!sites_add(&sites, events, ARRAY_SIZE(events), &one) && sites.n == 3000, "3000 places are learned");
	sites_add(&sites, events, 10, &one);
	ok(sites.n == 3000, "once each");
	sites_next_stream(&sites);
	more[0] = call(1, 1, 0); /* /b, where the other stream had it as module 2 */
	more[1] = call(0, 2, 0); /* /a, but another build */
	more[2] = call(2, 1, 0); /* another call */
	more[3] = call(1, 0, 0); /* no file known */
	more[3].origin = ORIGIN_UNKNOWN;
	sites_judge(&sites, more, 4, &two);
	ok(more[0].origin == ORIGIN_FILE, "a place is the same in every stream");
	ok(more[1].origin == ORIGIN_STRAY, "but not in another build of the file");
	ok(more[2].origin == ORIGIN_STRAY, "nor for another call");
	ok(more[3].origin == ORIGIN_UNKNOWN, "what is not known is not judged");
	sites_next_stream(&sites);
	sites_judge(&sites, events, ARRAY_SIZE(events), &one);
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++)
		strays += events[i].origin == ORIGIN_STRAY;
	ok(!strays, "all that was learned is known");
	sites_done(&sites);
	modules_done(&one);
	modules_done(&two);
}

static int64_t learn(struct profile *profile, const struct modules *modules, uint64_t offset, const char *name)
{
	_cleanup_(training_freep) struct training *training = training_new(LENGTH_DEFAULT, UINT64_MAX, NULL, NULL);
	struct profile_run run = { .date = 1, .source = name };
	struct event event = call(3, 1, offset);
	struct errmsg err = { 0 };

	training_set_modules(training, modules);
	if (training_add(training, &event, 1) < 0 || training_end(training) < 0 || profile_begin(profile, &err) < 0 ||
	    training_commit(training, profile, &run, &err) < 0 || profile_commit(profile, &err) < 0) {
		errmsg_print(&err, stderr, "test-sites");
		return -1;
	}
	return run.id;
}

static size_t count(struct profile *profile, int64_t run)
{
	struct sites sites;
	struct errmsg err = { 0 };
	size_t n;

	sites_init(&sites);
	if ((run ? profile_run_sites(profile, run, &sites, &err) : profile_sites(profile, 0, &sites, &err)) < 0)
		errmsg_print(&err, stderr, "test-sites");
	n = sites.n;
	sites_done(&sites);
	return n;
}

static void test_profile(void)
{
	_cleanup_(profile_closep) struct profile *profile = NULL, *other = NULL;
	const struct profile_info info = { .application = "/a", .arch = ARCH_X86_64, .length = LENGTH_DEFAULT };
	char folder[] = "/tmp/test-sites-XXXXXX", path[64], second[64];
	struct errmsg err = { 0 };
	struct modules modules;
	int64_t a, b;

	if (!mkdtemp(folder))
		exit(99);
	snprintf(path, sizeof(path), "%s/a.db", folder);
	snprintf(second, sizeof(second), "%s/b.db", folder);
	modules_init(&modules);
	modules_add(&modules, "/lib/x.so", "0123", 0, 0);
	profile_open(path, PROFILE_CREATE, &info, &profile, &err);
	profile_open(second, PROFILE_CREATE, &info, &other, &err);
	a = learn(profile, &modules, 100, "a");
	b = learn(profile, &modules, 200, "b");
	ok(a > 0 && b > 0 && count(profile, 0) == 2 && count(profile, a) == 1, "each run keeps its places");
	ok(!profile_verify(profile, &err), "the profile is sound %s", err.text);
	learn(other, &modules, 200, "c");
	learn(other, NULL, 300, "d");
	ok(!profile_begin(profile, &err) && profile_merge(profile, other, &err) == 2 && !profile_commit(profile, &err) &&
	   count(profile, 0) == 2, "merging brings the places of the runs along");
	ok(!profile_begin(profile, &err) && !profile_remove_run(profile, a, &err) && !profile_commit(profile, &err) &&
	   count(profile, 0) == 1 && !count(profile, a), "and a run that is taken out takes its own along");
	profile = profile_close(profile);
	ok(!profile_open(path, PROFILE_READ, NULL, &profile, &err) && count(profile, 0) == 1, "they are there when it is opened again");
	modules_done(&modules);
	unlink(path);
	unlink(second);
	rmdir(folder);
}

int main(void)
{
	test_set();
	test_profile();
	return tap_done();
}
