from .class_embeddings import class_embeddings, load_class_embeddings
from .class_names import read_aliases, read_class_names, vocabularies
from .embedding_files import read_embeddings, write_embeddings
from .prompts import PROMPTS, clean_name, fill_prompts
from .queries import class_queries, split_vocabulary
from .text_encoder import CLIPTextEncoder
from .vocabulary import BACKGROUND, match_names, read_base_classes
from .vocabulary_encoder import VocabularyEncoder

__all__ = ['BACKGROUND', 'PROMPTS', 'CLIPTextEncoder', 'VocabularyEncoder', 'class_embeddings', 'class_queries',
           'clean_name', 'fill_prompts', 'load_class_embeddings', 'match_names', 'read_aliases', 'read_base_classes',
           'read_class_names', 'read_embeddings', 'split_vocabulary', 'vocabularies', 'write_embeddings']
