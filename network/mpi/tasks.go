package mpi

import (
	"os"
	"strconv"
)

// Tasks are the processes that a launcher started together, as its environment tells.
type Tasks struct {
	Launcher string // mpirun, srun or mpiexec, "" where this process was started alone
	Variable string // of the environment, that has the number
	Size     int    // processes, 1 where the number is not known
	Rank     int    // of this process
	Local    int    // its number among the processes on this machine
}

// Started returns what the environment tells of the launcher: that of Open MPI's mpirun, of
// Slurm's srun, or of another mpiexec.
func Started() Tasks { return started(os.LookupEnv) }

func started(lookup func(string) (string, bool)) Tasks {
	number := func(names ...string) (n int, name string) {
		for _, name := range names {
			text, _ := lookup(name)
			if n, err := strconv.Atoi(text); err == nil && n >= 0 {
				return n, name
			}
		}
		return 0, ""
	}
	for _, l := range []struct {
		launcher          string
		size, rank, local []string
	}{
		{"mpirun", []string{"OMPI_COMM_WORLD_SIZE"}, []string{"OMPI_COMM_WORLD_RANK"}, []string{"OMPI_COMM_WORLD_LOCAL_RANK"}},
		// A script of sbatch sees SLURM_NTASKS, though it is one process. In it, and in
		// what srun starts, SLURM_STEP_NUM_TASKS has the number of the step's.
		{"srun", []string{"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}, []string{"SLURM_PROCID"}, []string{"SLURM_LOCALID"}},
		{"mpiexec", []string{"PMI_SIZE"}, []string{"PMI_RANK"}, []string{"MPI_LOCALRANKID"}},
	} {
		size, name := number(l.size...)
		if name == "" || size < 2 && l.launcher == "srun" {
			continue
		}
		rank, _ := number(l.rank...)
		local, _ := number(l.local...)
		return Tasks{l.launcher, name, max(1, size), rank, local}
	}
	return Tasks{Size: 1}
}
