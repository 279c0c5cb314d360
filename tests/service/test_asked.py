"""What pages ask the workers about: as many images as take seconds."""

from dropclust.service import asked


def test_wide_networks_are_tried_on_fewer_images():
    assert asked.images_for((100, 100, 100)) == asked.IMAGES
    assert 20 < asked.images_for((400, 400, 400)) < asked.IMAGES
    assert asked.images_for((2000, 2000, 2000)) == 20
