/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which sensors this build has, and which of them serves. */
#include <errno.h>
#include <string.h>

#include "sensor/sensor.h"

static const struct sensor_ops *const sensors[] = {
#ifdef HAVE_EBPF
	&sensor_ebpf,
#endif
	&sensor_ptrace,
	&sensor_replay,
	NULL,
};

const struct sensor_ops *const *sensor_registry(void)
{
	return sensors;
}

/* Files are replayed, everything else is live. */
static bool serves_kind(const struct sensor_ops *ops, const struct sensor_config *config)
{
	return (ops == &sensor_replay) == (config->n_targets && config->targets[0].kind == TARGET_FILE);
}

/* Not the target's fault: the machine, the privileges or the sensor's abilities are lacking, and another may do. */
static bool is_refusal(int error)
{
	return error == -EPERM || error == -EACCES || error == -ENOSYS || error == -EOPNOTSUPP;
}

/* The first that serves. In err: why those before it do not, and what it does not see itself. */
static int open_first(const struct sensor_config *config, struct sensor **ret_sensor, struct errmsg *err)
{
	char refusals[2 * sizeof(err->text)] = "";
	size_t length = 0;
	int r = -EOPNOTSUPP;

	for (const struct sensor_ops *const *ops = sensors; *ops; ops++) {
		struct errmsg why = { 0 };

		if (!serves_kind(*ops, config))
			continue;
		r = (*ops)->open(config, ret_sensor, &why);
		if (r < 0 && !is_refusal(r)) {
			*err = why;
			return r;
		}
		if (*why.text && length < sizeof(refusals))
			length += (size_t)snprintf(refusals + length, sizeof(refusals) - length, "%s%s: %s", length ? "; " : "",
						   (*ops)->name, why.text);
		if (r >= 0)
			break;
	}
	errmsg_set(err, r, NULL, 0, "%s", refusals);
	return MIN(r, 0);
}

static int open_best(const struct sensor_config *config, struct sensor **ret_sensor, struct errmsg *err)
{
	struct sensor_config all = *config;
	int r;

	all.insist = true;
	r = open_first(&all, ret_sensor, err);
	return r < 0 && is_refusal(r) && config->origins ? open_first(config, ret_sensor, err) : r;
}

int sensor_open(const char *name, const struct sensor_config *config, struct sensor **ret_sensor, struct errmsg *err)
{
	struct errmsg unused;

	if (!err)
		err = &unused;
	*err = (struct errmsg){ 0 };
	if (!config->n_targets)
		return errmsg_set(err, -EINVAL, NULL, 0, "nothing to watch was named");
	if (!name || !strcmp(name, "auto"))
		return open_best(config, ret_sensor, err);
	for (const struct sensor_ops *const *ops = sensors; *ops; ops++)
		if (!strcmp((*ops)->name, name))
			return (*ops)->open(config, ret_sensor, err);
#ifndef HAVE_EBPF
	if (!strcmp(name, "ebpf"))
		return errmsg_set(err, -EOPNOTSUPP, NULL, 0, "this build has no driver (--sensor=ebpf); --sensor=ptrace is there");
#endif
	return errmsg_set(err, -ENOENT, NULL, 0, "there is no sensor '%s'; there are: auto, ebpf, ptrace, replay", name);
}
