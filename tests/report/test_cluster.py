"""Rows that a changing cluster adds to the table on screen."""

from simulator.report.cluster import cluster_rows

USE = {
    "mean_replicas": 2.5,
    "most_replicas": 4.0,
    "gpu_hours": 10.0,
    "saved": 0.375,
    "starts": 3.0,
    "losses": 0.0,
    "lost_attempts": 0.0,
}


def rows(**cluster):
    return {row[0]: row[1:] for row in cluster_rows({"cluster": cluster})}


def test_nothing_without_events():
    assert not list(cluster_rows({}))


def test_gpu_hours_have_a_ratio_and_absent_losses_no_row():
    found = rows(baseline=USE, speculative=USE | {"gpu_hours": 5.0})
    assert found["GPU hours"] == ("10.0", "5.00", "2.00x")
    assert found["saved by scaling"] == ("38 %", "38 %")
    assert "replicas lost" not in found


def test_a_loss_in_one_arm_shows_both():
    still = USE | {"starts": 0.0}
    found = rows(baseline=still, speculative=still | {"losses": 2.0, "lost_attempts": 7.0})
    assert found["replicas lost"] == ("0.00", "2.00")
    assert found["attempts lost"] == ("0.00", "7.00")
    assert "saved by scaling" not in found
