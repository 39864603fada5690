/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public face of the sensors. */
#include "api/internal.h"

static int open_source(const struct target *target, const char *sensor, struct imsafe_source **ret_source,
		       struct imsafe_error *error)
{
	_cleanup_(imsafe_source_closep) struct imsafe_source *source = calloc(1, sizeof(*source));
	struct sensor_config config = {
		.targets = target,
		.n_targets = 1,
		.follow_fork = true,
		.follow_exec = true,
		.origins = true,
		.sites = true,
	};
	struct errmsg err = { 0 };
	int r;

	if (!source)
		return api_error(error, &err, -ENOMEM);
	source->live = target->kind != TARGET_FILE;
	r = sensor_open(source->live ? sensor : "replay", &config, &source->sensor, &err);
	if (r < 0)
		return api_error(error, &err, r);
	*ret_source = TAKE_PTR(source);
	return 0;
}

int imsafe_source_open_trace(const char *path, struct imsafe_source **ret_source, struct imsafe_error *error)
{
	return open_source(&(struct target){ .kind = TARGET_FILE, .name = path }, NULL, ret_source, error);
}

int imsafe_source_open_pid(pid_t pid, const char *sensor, struct imsafe_source **ret_source, struct imsafe_error *error)
{
	return open_source(&(struct target){ .kind = TARGET_PID, .pid = pid }, sensor, ret_source, error);
}

int imsafe_source_open_command(char *const argv[], const char *sensor, struct imsafe_source **ret_source,
			       struct imsafe_error *error)
{
	return open_source(&(struct target){ .kind = TARGET_COMMAND, .argv = argv }, sensor, ret_source, error);
}

void imsafe_source_close(struct imsafe_source *source)
{
	if (!source)
		return;
	sensor_close(source->sensor);
	free(source);
}

int imsafe_source_fd(struct imsafe_source *source)
{
	return source->sensor->ops->fd(source->sensor);
}

static int add_events(void *data, const struct event *events, size_t n)
{
	struct imsafe_watch *watch = data;

	return monitor_add(watch->monitor, events, n);
}

int imsafe_source_dispatch(struct imsafe_source *source, struct imsafe_watch *watch, struct imsafe_error *error)
{
	struct sensor *sensor = source->sensor;
	struct errmsg err = { 0 };
	int r;

	if (sensor->info.arch != ARCH_UNKNOWN && sensor->info.arch != profile_info(watch->profile->profile)->arch) {
		errmsg_set(&err, -EINVAL, NULL, 0, "the calls are of %s, the profile was learned on %s",
			   arch_name(sensor->info.arch), arch_name(profile_info(watch->profile->profile)->arch));
		return api_error(error, &err, -EINVAL);
	}
	watch->modules = &sensor->modules;
	watch->recorded = (struct recorded){ sensor->info.application, sensor->info.build_id };
	watch->live = source->live;
	r = sensor->ops->dispatch(sensor, add_events, watch, &err);
	return r < 0 ? api_error(error, &err, r) : r;
}
