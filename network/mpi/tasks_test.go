package mpi

import "testing"

// Launchers are known by what they set. A script of a batch system is no task of several.
func TestStarted(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want Tasks
	}{
		{nil, Tasks{Size: 1}},
		{map[string]string{"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "1", "SLURM_NTASKS": "8"},
			Tasks{"mpirun", "OMPI_COMM_WORLD_SIZE", 4, 3, 1}},
		{map[string]string{"OMPI_COMM_WORLD_SIZE": "1"}, Tasks{"mpirun", "OMPI_COMM_WORLD_SIZE", 1, 0, 0}},
		{map[string]string{"SLURM_NTASKS": "8", "SLURM_PROCID": "5", "SLURM_LOCALID": "2"}, Tasks{"srun", "SLURM_NTASKS", 8, 5, 2}},
		{map[string]string{"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}, Tasks{"srun", "SLURM_STEP_NUM_TASKS", 2, 1, 0}},
		{map[string]string{"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1"}, Tasks{Size: 1}},
		{map[string]string{"SLURM_NTASKS": "1"}, Tasks{Size: 1}},
		{map[string]string{"PMI_SIZE": "2", "PMI_RANK": "1"}, Tasks{"mpiexec", "PMI_SIZE", 2, 1, 0}},
		{map[string]string{"PMI_SIZE": "many"}, Tasks{Size: 1}},
	} {
		if got := started(func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.env, got, c.want)
		}
	}
}
