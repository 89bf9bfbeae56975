"""How well the shipped model finds pages, through the function that the scanner itself uses."""

from pathlib import Path

import pytest

from tests.vision.annotated_photos import Photo, read_photos
from tests.vision.evaluate_detector import evaluate, line, summary

pytestmark = pytest.mark.browser

SYNTHETIC = Path(__file__).with_name("synthetic")
# Photos with no sheet of paper among ../shared/photos.
WITHOUT_DOCUMENT = ("Linzaer_16.jpg", "PaddlePadd_dog.jpg", "PaddlePadd_face.jpg", "PaddlePadd_human.jpg",
                    "ageitgey_two_people.jpg", "tensorflow_cat.jpg", "tensorflow_three_people.jpg")  # fmt: skip


@pytest.fixture
def measure(browser, server):
    """photos -> summary, each result printed."""
    context = browser.new_context(service_workers="block")

    def run(photos: list[Photo]) -> dict:
        results = []
        for result in evaluate(context.new_page(), server, photos):
            print(line(result))
            results.append(result)
        return summary(results)

    yield run
    context.close()


def test_every_kind_of_document_that_it_was_made_for(measure):
    """Two drawn photos of each class of training/document_corners/classes.py, and four without a document."""
    total = measure(read_photos(SYNTHETIC))
    assert (total["pages"], total["without_page"]) == (26, 4)
    assert total["mean"] >= 0.97 and total["median"] >= 0.98 and total["min"] >= 0.9
    assert total["left_alone"] == 1


@pytest.mark.shared
def test_photos_that_others_took(measure, shared_dir):
    total = measure(read_photos(shared_dir / "photos/docs"))
    assert total["pages"] == 7
    assert total["mean"] >= 0.95 and total["min"] >= 0.85


@pytest.mark.shared
def test_photos_without_a_document(measure, shared_dir):
    photos = [Photo(shared_dir / "photos" / name, 0, 0, None) for name in WITHOUT_DOCUMENT]
    assert measure(photos)["left_alone"] == 1
